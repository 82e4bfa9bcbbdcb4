/*
 * limits.c
 *	  Limits that a test sets: so many requests of an account in any second,
 *	  of each operation by itself or of all together. What is beyond is
 *	  refused as Twilio refuses it, with 429 and without Retry-After.
 *
 * The last requests that were let through are remembered by their times, as
 * many as the limit allows: the next one passes if the oldest of them is a
 * second old. So no second, wherever it begins, holds more than the limit,
 * and a limit that is changed holds at once.
 *
 * Whether there is a limit or not, each account and operation counts what was
 * accepted and refused in each of the last seconds of the wall clock.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accounts.h"
#include "json_text.h"
#include "limits.h"

/* For how many seconds it is told what came. */
#define SECONDS_KEPT 600
#define MAX_LIMIT 1000000
#define NO_LIMIT (-1.0)

/* The requests of one account that were let through, as far as a limit needs them. */
typedef struct Window
{
	int64_t *times_us; /* a ring */
	size_t room;
	size_t next; /* the oldest, overwritten next */
} Window;

typedef struct Second
{
	time_t time;
	int accepted;
	int refused;
} Second;

/* One account's use of one operation. */
typedef struct Meter
{
	Window window;
	Second *seconds; /* by time modulo SECONDS_KEPT; NULL before the first request */
} Meter;

static double per_account = NO_LIMIT;   /* all operations of an account together */
static double per_operation = NO_LIMIT; /* each operation by itself */
static double *of_operation;            /* by number, where it differs; NULL for nowhere */

/* Forgets the times of a window. */
static void
clear_window(Window *window)
{
	free(window->times_us);
	*window = (Window){0};
}

/* The meters of an account: one for each operation, and behind them the one of the account as a whole. */
static Meter *
meters_of(Account *account)
{
	if (account->meters == NULL)
		account->meters = calloc((size_t) facts_operation_count() + 1, sizeof(Meter));
	return account->meters;
}

/* How many times are to be remembered for a limit, and for how long each counts. */
static size_t
requests_in_window(double limit, int64_t *window_us)
{
	size_t requests = limit < 1 ? 1 : (size_t) limit;

	*window_us = (int64_t) ((double) requests / limit * 1e6);
	return requests;
}

/* Gives a window room for so many times; the youngest of those that it had stay. */
static void
resize_window(Window *window, size_t room)
{
	int64_t *times = calloc(room, sizeof(int64_t));
	size_t kept = room < window->room ? room : window->room;

	/* What it has, oldest first, begins at next: the youngest go to the end. */
	for (size_t i = 0; i < kept; i++)
		times[room - kept + i] = window->times_us[(window->next + window->room - kept + i) % window->room];
	free(window->times_us);
	*window = (Window){.times_us = times, .room = room};
}

/* Whether the limit lets a further request pass now. */
static bool
has_room(Window *window, double limit, int64_t now)
{
	int64_t window_us;
	size_t requests;

	if (limit < 0)
		return true;
	if (limit == 0)
		return false;
	requests = requests_in_window(limit, &window_us);
	if (window->room != requests)
		resize_window(window, requests);
	assert(window->times_us != NULL);
	return window->times_us[window->next] == 0 || now - window->times_us[window->next] >= window_us;
}

/* Remembers a request that passes. */
static void
note_passed(Window *window, int64_t now)
{
	if (window->room == 0)
		return;
	window->times_us[window->next] = now;
	window->next = (window->next + 1) % window->room;
}

/* Counts a request in the second that it comes in. */
static void
count_request(Meter *meter, bool accepted)
{
	time_t now = time(NULL);
	Second *second;

	if (meter->seconds == NULL)
		meter->seconds = calloc(SECONDS_KEPT, sizeof(Second));
	second = &meter->seconds[now % SECONDS_KEPT];
	if (second->time != now)
		*second = (Second){.time = now};
	if (accepted)
		second->accepted++;
	else
		second->refused++;
}

/* The limit of an operation by itself. */
static double
limit_of(int operation)
{
	return of_operation != NULL && of_operation[operation] != NO_LIMIT ? of_operation[operation] : per_operation;
}

/* Refuses the request with 429 if it is beyond a limit of its account. */
bool
check_limit(Request *request)
{
	int operation = request->operation->number;
	int64_t now = now_us();
	Meter *meter = &meters_of(request->account)[operation];
	Window *window = &meters_of(request->account)[facts_operation_count()].window;
	bool passes;

	passes = has_room(&meter->window, limit_of(operation), now) && has_room(window, per_account, now);
	count_request(meter, passes);
	if (!passes)
		return answer_problem(&request->answer, SHAPE_TWILIO, request->path, 429, 20429, NULL, "Too Many Requests");
	note_passed(&meter->window, now);
	note_passed(window, now);
	return true;
}

/* Reads a limit: a number of requests a second, or null for none. */
static bool
read_limit(const char *name, json_object *value, double *limit, Problem *problem)
{
	double read = value ? json_object_get_double(value) : NO_LIMIT;
	bool number = json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double);

	if (value != NULL && (!number || read < 0 || read > MAX_LIMIT))
		return problem_note(problem, name, "a limit is a number of requests a second from 0 to %d, or null for none",
							MAX_LIMIT);
	*limit = read;
	return true;
}

/* Changes the limits of single operations. */
static bool
change_operations(json_object *wish, Problem *problem)
{
	if (!json_object_is_type(wish, json_type_object))
		return problem_note(problem, "operations", "must be an object of limits by operation");
	if (of_operation == NULL)
	{
		of_operation = calloc((size_t) facts_operation_count(), sizeof(double));
		for (int i = 0; i < facts_operation_count(); i++)
			of_operation[i] = NO_LIMIT;
	}
	json_object_object_foreach(wish, name, value)
	{
		const Operation *operation = facts_operation_named(name);

		if (operation == NULL)
			return problem_note(problem, name, "no such operation");
		if (!read_limit(name, value, &of_operation[operation->number], problem))
			return false;
	}
	return true;
}

/*
 * Changes the limits that the wish names, from the next request on; false,
 * with the problem, if it makes no sense. What it names before that is changed.
 */
bool
limits_change(json_object *wish, Problem *problem)
{
	json_object_object_foreach(wish, name, value)
	{
		bool done;

		if (strcmp(name, "operations") == 0)
			done = change_operations(value, problem);
		else if (strcmp(name, "per_account") == 0)
			done = read_limit(name, value, &per_account, problem);
		else if (strcmp(name, "per_operation") == 0)
			done = read_limit(name, value, &per_operation, problem);
		else
			done = problem_note(problem, name, "no such limit: there are per_account, per_operation and operations");
		if (!done)
			return false;
	}
	return true;
}

/* Forgets what each second counted. */
void
limits_forget_seconds(void)
{
	for (int i = 0; i < accounts_count(); i++)
		for (int j = 0; j < facts_operation_count(); j++)
		{
			free(meters_of(accounts_get(i))[j].seconds);
			meters_of(accounts_get(i))[j].seconds = NULL;
		}
}

/* Makes an end of all limits. */
void
limits_clear(void)
{
	for (int i = 0; i < accounts_count(); i++)
		for (int j = 0; j <= facts_operation_count(); j++)
			clear_window(&meters_of(accounts_get(i))[j].window);
	free(of_operation);
	of_operation = NULL;
	per_account = per_operation = NO_LIMIT;
}

/* Adds a limit. */
static void
write_limit(Text *text, double limit)
{
	if (limit < 0)
		text_add_string(text, "null");
	else
		text_printf(text, "%g", limit);
}

/* Writes the limits as a JSON object. */
void
limits_write(Text *text)
{
	const char *comma = "";

	text_add_string(text, "{\"per_account\":");
	write_limit(text, per_account);
	text_add_string(text, ",\"per_operation\":");
	write_limit(text, per_operation);
	text_add_string(text, ",\"operations\":{");
	for (int i = 0; of_operation != NULL && i < facts_operation_count(); i++)
	{
		if (of_operation[i] == NO_LIMIT)
			continue;
		text_printf(text, "%s\"%s\":", comma, facts_operation(i)->function);
		write_limit(text, of_operation[i]);
		comma = ",";
	}
	text_add_string(text, "}}");
}

/* Adds what one second counted for an account; the comma before it may be none. */
static const char *
write_second(Text *text, time_t at, Account *account, const char *comma)
{
	for (int i = 0; i < facts_operation_count(); i++)
	{
		const Meter *meter = &meters_of(account)[i];
		const Second *second = meter->seconds ? &meter->seconds[at % SECONDS_KEPT] : NULL;

		if (second == NULL || second->time != at)
			continue;
		text_printf(text, "%s{\"second\":%lld,\"account\":\"%s\",\"operation\":\"%s\",\"accepted\":%d,\"refused\":%d}",
					comma, (long long) at, account->sid, facts_operation(i)->function, second->accepted,
					second->refused);
		comma = ",";
	}
	return comma;
}

/* Writes what each second that had requests counted, oldest first. */
void
limits_write_seconds(Text *text)
{
	time_t now = time(NULL);
	const char *comma = "";

	text_printf(text, "{\"now\":%lld,\"seconds\":[", (long long) now);
	for (time_t at = now - SECONDS_KEPT + 1; at <= now; at++)
		for (int i = 0; i < accounts_count(); i++)
			comma = write_second(text, at, accounts_get(i), comma);
	text_add_string(text, "]}");
}
