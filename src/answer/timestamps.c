/*
 * timestamps.c
 *		Parses timestamps of the service, which are those of RFC 3339.
 *
 * The input function of timestamptz is not used, because it accepts much more ("tomorrow"),
 * depends on the settings DateStyle and TimeZone, and its errors do not name the member.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "answer/timestamps.h"

/* Read exactly "count" digits and advance *text.  Return false for anything else. */
static bool
read_digits(const char **text, int count, int *value)
{
	*value = 0;
	for (int i = 0; i < count; i++, (*text)++)
	{
		if (!isdigit((unsigned char) **text))
			return false;
		*value = *value * 10 + (**text - '0');
	}
	return true;
}

/* If the next character is the given one, skip it and return true. */
static bool
read_character(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

/* Read an optional fraction of a second, in microseconds; further digits are ignored. */
static bool
read_fraction(const char **text, fsec_t *fraction)
{
	int unit = 100000;

	*fraction = 0;
	if (!read_character(text, '.'))
		return true;
	if (!isdigit((unsigned char) **text))
		return false;
	for (; isdigit((unsigned char) **text); (*text)++, unit /= 10)
		*fraction += (**text - '0') * unit;
	return true;
}

/* Read the time zone, Z or +hh:mm, as seconds west of Greenwich. */
static bool
read_zone(const char **text, int *west)
{
	int hours;
	int minutes;
	int sign;

	*west = 0;
	if (read_character(text, 'Z') || read_character(text, 'z'))
		return true;
	sign = **text == '+' ? -1 : 1;
	if (!read_character(text, '+') && !read_character(text, '-'))
		return false;
	if (!read_digits(text, 2, &hours) || !read_character(text, ':') || !read_digits(text, 2, &minutes))
		return false;
	*west = sign * (hours * SECS_PER_HOUR + minutes * SECS_PER_MINUTE);
	return hours <= MAX_TZDISP_HOUR && minutes < MINS_PER_HOUR;
}

/* Return true for an existing date and time; second 60, a leap second, is allowed. */
static bool
is_possible(const struct pg_tm *tm)
{
	return tm->tm_year >= 1 && tm->tm_mon >= 1 && tm->tm_mon <= MONTHS_PER_YEAR && tm->tm_mday >= 1 &&
		   tm->tm_mday <= day_tab[isleap(tm->tm_year)][tm->tm_mon - 1] && tm->tm_hour < HOURS_PER_DAY &&
		   tm->tm_min < MINS_PER_HOUR && tm->tm_sec <= SECS_PER_MINUTE;
}

/* Parse a text such as 2016-08-01T22:10:40Z, also with a fraction or another time zone; false if it is invalid. */
bool
flex_timestamp_parse(const char *text, TimestampTz *result)
{
	struct pg_tm tm = {0};
	fsec_t fraction;
	int west;

	return read_digits(&text, 4, &tm.tm_year) && read_character(&text, '-') && read_digits(&text, 2, &tm.tm_mon) &&
		   read_character(&text, '-') && read_digits(&text, 2, &tm.tm_mday) &&
		   (read_character(&text, 'T') || read_character(&text, 't') || read_character(&text, ' ')) &&
		   read_digits(&text, 2, &tm.tm_hour) && read_character(&text, ':') && read_digits(&text, 2, &tm.tm_min) &&
		   read_character(&text, ':') && read_digits(&text, 2, &tm.tm_sec) && read_fraction(&text, &fraction) &&
		   read_zone(&text, &west) && *text == '\0' && is_possible(&tm) &&
		   tm2timestamp(&tm, fraction, &west, result) == 0;
}
