/*
 * control_traffic.c
 *	  Control requests for what comes and goes: records, counters, limits,
 *	  faults, and the settings.
 */
#include <string.h>

#include "commands.h"
#include "faults.h"
#include "json_text.h"
#include "limits.h"
#include "options.h"
#include "overview.h"
#include "record.h"

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
	return answer_nothing(answer);
}

/* GET counters. */
static bool
show_counters(json_object *wish, Answer *answer)
{
	(void) wish;
	record_write_counters(&answer->body);
	return true;
}

/* GET overview: what the page shows. */
static bool
show_overview(json_object *wish, Answer *answer)
{
	(void) wish;
	overview_write(&answer->body);
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

/* POST limits: any of per_account, per_operation and operations, from now on; answers all of them. */
static bool
change_limits(json_object *wish, Answer *answer)
{
	Problem problem;

	if (!limits_change(wish, &problem))
		return complain_of(answer, &problem);
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
	return answer_nothing(answer);
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
	return answer_nothing(answer);
}

/* POST faults: one, or an array of them, behind those that are there. */
static bool
add_faults(json_object *wish, Answer *answer)
{
	Problem problem;
	bool several = json_object_is_type(wish, json_type_array);
	size_t count = several ? json_object_array_length(wish) : 1;

	for (size_t i = 0; i < count; i++)
		if (!faults_add(several ? json_object_array_get_idx(wish, i) : wish, &problem))
			return complain_of(answer, &problem);
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
	return answer_nothing(answer);
}

/* GET health. */
static bool
show_health(json_object *wish, Answer *answer)
{
	(void) wish;
	return answer_nothing(answer);
}

const Command traffic_commands[] = {
	{"GET", "health", show_health, false},
	{"GET", "overview", show_overview, false},
	{"GET", "requests", show_requests, false},
	{"DELETE", "requests", clear_requests, false},
	{"GET", "counters", show_counters, false},
	{"POST", "settings", change_settings, false},
	{"GET", "limits", show_limits, false},
	{"POST", "limits", change_limits, false},
	{"DELETE", "limits", clear_limits, false},
	{"GET", "seconds", show_seconds, false},
	{"DELETE", "seconds", clear_seconds, false},
	{"GET", "faults", show_faults, false},
	{"POST", "faults", add_faults, true},
	{"DELETE", "faults", clear_faults, false},
	{.method = NULL},
};
