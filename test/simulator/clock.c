/*
 * clock.c
 *	  The simulated time: the machine's, moved or stopped by a control request.
 *
 * Resources' dates follow it, and so does whatever happens to them after a
 * while. What concerns the traffic does not: delays of faults, limits, and
 * the seconds that are counted.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "identifiers.h"
#include "json_text.h"

/* As far as years have four digits. */
#define LAST_SECOND INT64_C(253402300799)

static int64_t offset_us;
static int64_t stopped_us;
static bool stopped;

/* The machine's time in microseconds. */
static int64_t
machine_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The simulated time in microseconds. */
int64_t
clock_us(void)
{
	return stopped ? stopped_us : machine_us() + offset_us;
}

/* The simulated time in seconds. */
time_t
clock_seconds(void)
{
	return (time_t) (clock_us() / 1000000);
}

/* The time as 2016-08-01T22:10:40Z; formatted anew only once a second. */
const char *
date_now(void)
{
	static _Thread_local char text[DATE_LENGTH + 1];
	static _Thread_local time_t last;
	time_t now = clock_seconds();
	struct tm parts;

	if (now != last)
	{
		gmtime_r(&now, &parts);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
		last = now;
	}
	return text;
}

/* Sets the time, whether it stands or goes. */
static void
set_clock(int64_t us)
{
	stopped_us = us;
	offset_us = us - machine_us();
}

/* Reads a date as date_now writes it. */
static bool
read_date(const char *text, int64_t *us)
{
	struct tm parts = {0};
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts) : NULL;

	if (rest == NULL || *rest != '\0')
		return false;
	*us = (int64_t) timegm(&parts) * 1000000;
	return *us >= 0;
}

/*
 * Moves the clock: {"now":"2026-06-01T00:00:00Z"}, {"advance_seconds":3600}, or
 * {"stopped":true}; false, with the problem and nothing moved, if it makes no sense.
 */
bool
clock_change(json_object *wish, Problem *problem)
{
	int64_t us = clock_us();
	bool stop = stopped;

	json_object_object_foreach(wish, name, value)
	{
		bool number = json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double);

		if (strcmp(name, "now") == 0 && !read_date(json_text_member(wish, name), &us))
			return problem_note(problem, name, "must be a date such as 2026-06-01T00:00:00Z");
		if (strcmp(name, "advance_seconds") == 0 && !number)
			return problem_note(problem, name, "must be a number of seconds");
		if (strcmp(name, "advance_seconds") == 0)
		{
			double moved = (double) us + json_object_get_double(value) * 1e6;

			if (!(moved >= 0 && moved <= (double) LAST_SECOND * 1e6))
				return problem_note(problem, name, "leads out of the years 1970 to 9999");
			us = (int64_t) moved;
		}
		else if (strcmp(name, "stopped") == 0 && json_object_is_type(value, json_type_boolean))
			stop = json_object_get_boolean(value);
		else if (strcmp(name, "now") != 0)
			return problem_note(problem, name, "a clock has now, advance_seconds and stopped (true or false)");
	}
	set_clock(us);
	stopped = stop;
	return true;
}

/* Makes the clock the machine's again. */
void
clock_reset(void)
{
	stopped = false;
	offset_us = 0;
}

/* Writes the time as a JSON object. */
void
clock_write(Text *text)
{
	text_printf(text, "{\"now\":\"%s\",\"stopped\":%s}", date_now(), stopped ? "true" : "false");
}
