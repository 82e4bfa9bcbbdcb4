/*
 * traffic.c
 *	  How many answers of which kind each of the last seconds had, by the
 *	  machine's clock: what the page draws.
 */
#include <string.h>
#include <time.h>

#include "traffic.h"

#define SECONDS_SHOWN 90

typedef enum AnswerKind
{
	ANSWER_GOOD,
	ANSWER_REFUSED, /* 4xx but 429 */
	ANSWER_TOO_MANY,
	ANSWER_FAILED, /* 5xx */
	ANSWER_KINDS
} AnswerKind;

typedef struct TrafficSecond
{
	time_t time;
	int counts[ANSWER_KINDS];
} TrafficSecond;

static TrafficSecond ring[SECONDS_SHOWN];

/* Counts an answer in the second in which it is made. */
void
traffic_count(int status)
{
	time_t now = time(NULL);
	TrafficSecond *second = &ring[now % SECONDS_SHOWN];
	AnswerKind kind = status == 429   ? ANSWER_TOO_MANY
					  : status >= 500 ? ANSWER_FAILED
					  : status >= 400 ? ANSWER_REFUSED
									  : ANSWER_GOOD;

	if (second->time != now)
		*second = (TrafficSecond){.time = now};
	second->counts[kind]++;
}

/* Forgets everything. */
void
traffic_clear(void)
{
	memset(ring, 0, sizeof(ring));
}

/* Writes the seconds, oldest first, as an array of [good, refused, too many, failed]. */
void
traffic_write(Text *text)
{
	time_t now = time(NULL);

	text_add_string(text, "[");
	for (time_t at = now - SECONDS_SHOWN + 1; at <= now; at++)
	{
		const TrafficSecond *second = &ring[at % SECONDS_SHOWN];
		static const TrafficSecond none;

		if (second->time != at)
			second = &none;
		text_printf(text, "%s[%d,%d,%d,%d]", at > now - SECONDS_SHOWN + 1 ? "," : "", second->counts[ANSWER_GOOD],
					second->counts[ANSWER_REFUSED], second->counts[ANSWER_TOO_MANY], second->counts[ANSWER_FAILED]);
	}
	text_add_string(text, "]");
}
