/*
 * control.c
 *	  The interface through which tests control the simulator: everything
 *	  under /_simulator/, without authentication, in JSON.
 */
#include <string.h>

#include "control.h"
#include "faults.h"
#include "json_text.h"
#include "limits.h"
#include "options.h"
#include "record.h"
#include "seed.h"
#include "service.h"
#include "state.h"
#include "store.h"

#define PREFIX "/_simulator/"

/* One thing that can be asked for. */
typedef struct Command
{
	const char *method;
	const char *name;
	bool (*run)(json_object *wish, Answer *answer);
} Command;

/* Makes the answer a complaint. Always returns false. */
static bool
complain(Answer *answer, const char *problem, const char *what)
{
	answer_clear(answer);
	answer->status = 400;
	text_add_string(&answer->body, "{\"problem\":");
	text_add_json_string(&answer->body, problem);
	text_add_string(&answer->body, ",\"what\":");
	text_add_json_string(&answer->body, what);
	text_add_string(&answer->body, "}");
	return false;
}

/* POST reset: as it was at the start. */
static bool
reset(json_object *wish, Answer *answer)
{
	(void) wish;
	faults_clear();
	record_clear();
	service_reset();
	text_add_string(&answer->body, "{}");
	return true;
}

/* POST seed: so many rows for each collection named, of the first account or of "account_sid". */
static bool
seed(json_object *wish, Answer *answer)
{
	const char *comma = "{";
	const char *sid = json_text_member(wish, "account_sid");
	Account *account = sid ? accounts_of_sid(sid) : accounts_get(0);

	if (account == NULL)
		return complain(answer, "no such account", sid);
	json_object_object_foreach(wish, name, count)
	{
		const Kind *kind = kinds_named(name);

		if (strcmp(name, "account_sid") == 0)
			continue;
		if (kind == NULL || kind->parent != NULL)
			return complain(answer, "no such collection", name);
		seed_rows(account, kind, json_object_get_int64(count));
		text_add_string(&answer->body, comma);
		text_add_json_string(&answer->body, name);
		text_printf(&answer->body, ":%zu",
					store_list(account, kind, NULL)->count - store_list(account, kind, NULL)->dead);
		comma = ",";
	}
	text_add_string(&answer->body, *comma == '{' ? "{}" : "}");
	return true;
}

/* GET requests: the last ones. */
static bool
show_requests(json_object *wish, Answer *answer)
{
	(void) wish;
	record_write_requests(&answer->body);
	return true;
}

/* DELETE requests: forget them. */
static bool
clear_requests(json_object *wish, Answer *answer)
{
	(void) wish;
	record_clear_requests();
	answer->status = 204;
	return true;
}

/* GET counters. */
static bool
show_counters(json_object *wish, Answer *answer)
{
	(void) wish;
	record_write_counters(&answer->body);
	return true;
}

/* POST settings: any of record, setup_ms, rate_limits and public_urls; answers all of them. */
static bool
change_settings(json_object *wish, Answer *answer)
{
	json_object_object_foreach(wish, name, value)
	{
		if (strcmp(name, "record") == 0)
			options.record = json_object_get_boolean(value);
		else if (strcmp(name, "setup_ms") == 0)
			options.setup_ms = json_object_get_int64(value);
		else if (strcmp(name, "rate_limits") == 0)
			options.rate_limits = json_object_get_boolean(value);
		else if (strcmp(name, "public_urls") == 0)
			options.public_urls = json_object_get_boolean(value);
		else
			return complain(answer, "no such setting", name);
	}
	text_printf(&answer->body, "{\"record\":%s,\"setup_ms\":%lld,\"rate_limits\":%s,\"public_urls\":%s}",
				options.record ? "true" : "false", (long long) options.setup_ms, options.rate_limits ? "true" : "false",
				options.public_urls ? "true" : "false");
	return true;
}

/* GET state: all that the accounts have, as --save writes it. */
static bool
show_state(json_object *wish, Answer *answer)
{
	(void) wish;
	state_write(&answer->body);
	return true;
}

/* POST state: puts what is named in the place of what is there, or nothing if something is wrong. */
static bool
load_state(json_object *wish, Answer *answer)
{
	Problem problem;

	if (!state_load(wish, &problem))
		return complain(answer, problem.what, problem.where);
	answer->status = 204;
	return true;
}

/* POST save: writes the file of --save now. */
static bool
save_state(json_object *wish, Answer *answer)
{
	Problem problem;

	(void) wish;
	if (!state_save(&problem))
		return complain(answer, problem.what, problem.where);
	answer->status = 204;
	return true;
}

/* POST accounts: adds or changes some; answers all. */
static bool
change_accounts(json_object *wish, Answer *answer)
{
	Problem problem;

	if (!accounts_change(wish, &problem))
		return complain(answer, problem.what, problem.where);
	accounts_write(&answer->body);
	return true;
}

/* GET accounts. */
static bool
show_accounts(json_object *wish, Answer *answer)
{
	(void) wish;
	accounts_write(&answer->body);
	return true;
}

/* POST limits: any of per_account, per_operation and operations, from now on; answers all of them. */
static bool
change_limits(json_object *wish, Answer *answer)
{
	Problem problem;

	if (!limits_change(wish, &problem))
		return complain(answer, problem.what, problem.where);
	limits_write(&answer->body);
	return true;
}

/* GET limits. */
static bool
show_limits(json_object *wish, Answer *answer)
{
	(void) wish;
	limits_write(&answer->body);
	return true;
}

/* DELETE limits: none any more. */
static bool
clear_limits(json_object *wish, Answer *answer)
{
	(void) wish;
	limits_clear();
	answer->status = 204;
	return true;
}

/* GET seconds: what was accepted and refused in each of the last ones. */
static bool
show_seconds(json_object *wish, Answer *answer)
{
	(void) wish;
	limits_write_seconds(&answer->body);
	return true;
}

/* DELETE seconds: forget them. */
static bool
clear_seconds(json_object *wish, Answer *answer)
{
	(void) wish;
	limits_forget_seconds();
	answer->status = 204;
	return true;
}

/* POST faults: one, or an array of them, behind those that are there. */
static bool
add_faults(json_object *wish, Answer *answer)
{
	const char *problem = NULL;
	bool several = json_object_is_type(wish, json_type_array);
	size_t count = several ? json_object_array_length(wish) : 1;

	for (size_t i = 0; i < count; i++)
		if (!faults_add(several ? json_object_array_get_idx(wish, i) : wish, &problem))
			return complain(answer, "this is no fault", problem);
	faults_write(&answer->body);
	return true;
}

/* GET faults: those that are there, used-up ones included. */
static bool
show_faults(json_object *wish, Answer *answer)
{
	(void) wish;
	faults_write(&answer->body);
	return true;
}

/* DELETE faults. */
static bool
clear_faults(json_object *wish, Answer *answer)
{
	(void) wish;
	faults_clear();
	answer->status = 204;
	return true;
}

/* GET health. */
static bool
show_health(json_object *wish, Answer *answer)
{
	(void) wish;
	answer->status = 204;
	return true;
}

static const Command commands[] = {
	{"POST", "reset", reset},
	{"POST", "seed", seed},
	{"GET", "requests", show_requests},
	{"DELETE", "requests", clear_requests},
	{"GET", "counters", show_counters},
	{"POST", "settings", change_settings},
	{"POST", "faults", add_faults},
	{"GET", "faults", show_faults},
	{"DELETE", "faults", clear_faults},
	{"GET", "health", show_health},
	{"POST", "accounts", change_accounts},
	{"GET", "accounts", show_accounts},
	{"GET", "state", show_state},
	{"POST", "state", load_state},
	{"POST", "save", save_state},
	{"POST", "limits", change_limits},
	{"GET", "limits", show_limits},
	{"DELETE", "limits", clear_limits},
	{"GET", "seconds", show_seconds},
	{"DELETE", "seconds", clear_seconds},
};

/* The command of that method and name, or NULL. */
static const Command *
find_command(const char *method, const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].method, method) == 0 && strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Whether a request is for the simulator itself, and not for the API. */
bool
is_control(const Request *request)
{
	return strncmp(request->path, PREFIX, strlen(PREFIX)) == 0;
}

/* Carries out a request for the simulator itself. */
void
serve_control(Request *request)
{
	const char *name = request->path + strlen(PREFIX);
	Answer *answer = &request->answer;
	const Command *command;
	json_object *wish = NULL;

	answer->status = 200;
	if (request->body.length > 0 && !json_read(request->body.data, request->body.length, &wish))
	{
		complain(answer, "the body is not JSON", request->body.data);
		return;
	}
	if (request->body.length == 0)
		wish = json_object_new_object();
	command = find_command(request->method, name);
	if (command == NULL)
	{
		complain(answer, "no such command", request->path);
		answer->status = 404;
	}
	else if (!json_object_is_type(wish, json_type_object) && command->run != add_faults)
		complain(answer, "the body is not an object", request->body.data);
	else
		command->run(wish, answer);
	if (answer->status == 204)
		answer->content_type = NULL;
	json_object_put(wish);
}
