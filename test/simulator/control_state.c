/*
 * control_state.c
 *	  Control requests for what the accounts have: making it as it was,
 *	  seeding, loading and saving it, the accounts themselves, and the clock.
 */
#include <string.h>

#include "accounts.h"
#include "agenda.h"
#include "clock.h"
#include "commands.h"
#include "faults.h"
#include "json_text.h"
#include "record.h"
#include "seed.h"
#include "service.h"
#include "state.h"

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
	Problem problem;

	if (account == NULL)
		return complain(answer, "no such account", sid);
	json_object_object_foreach(wish, name, count)
	{
		size_t rows;

		if (strcmp(name, "account_sid") == 0)
			continue;
		if (!seed_collection(account, name, count, &rows, &problem))
			return complain_of(answer, &problem);
		text_add_string(&answer->body, comma);
		text_add_json_string(&answer->body, name);
		text_printf(&answer->body, ":%zu", rows);
		comma = ",";
	}
	text_add_string(&answer->body, *comma == '{' ? "{}" : "}");
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
		return complain_of(answer, &problem);
	return answer_nothing(answer);
}

/* POST save: writes the file of --save now. */
static bool
save_state(json_object *wish, Answer *answer)
{
	Problem problem;

	(void) wish;
	if (!state_save(&problem))
		return complain_of(answer, &problem);
	return answer_nothing(answer);
}

/* POST accounts: adds or changes some; answers all. */
static bool
change_accounts(json_object *wish, Answer *answer)
{
	Problem problem;

	if (!accounts_change(wish, &problem))
		return complain_of(answer, &problem);
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

/* POST clock: moves or stops it; answers the time. */
static bool
change_clock(json_object *wish, Answer *answer)
{
	Problem problem;

	if (!clock_change(wish, &problem))
		return complain_of(answer, &problem);
	agenda_wake();
	clock_write(&answer->body);
	return true;
}

/* GET clock. */
static bool
show_clock(json_object *wish, Answer *answer)
{
	(void) wish;
	clock_write(&answer->body);
	return true;
}

const Command state_commands[] = {
	{"POST", "reset", reset, false},
	{"POST", "seed", seed, false},
	{"GET", "state", show_state, false},
	{"POST", "state", load_state, false},
	{"POST", "save", save_state, false},
	{"GET", "accounts", show_accounts, false},
	{"POST", "accounts", change_accounts, false},
	{"GET", "clock", show_clock, false},
	{"POST", "clock", change_clock, false},
	{.method = NULL},
};
