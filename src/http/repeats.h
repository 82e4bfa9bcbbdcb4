/*
 * repeats.h
 *		When a request is sent, and sent again.
 */
#ifndef FLEX_REPEATS_H
#define FLEX_REPEATS_H

#include "http/verdict.h"

/* The repeats of one request.  Times are of flex_clock_ms(). */
typedef struct Repeats
{
	int attempts; /* that were begun, for flex_attempt_set_number() */
	RateKey rate; /* that it counts for */
	int made;
	int most;
	int64 deadline;      /* of the request with all its repeats */
	int64 patient_until; /* its first attempt waits for its turn until then */
	int64 resume_at;     /* when to send it, or to look whether it may be sent */
	bool awaits_turn;    /* its rate has to allow it, too */
	bool was_maybe_done; /* by an earlier attempt */
} Repeats;

typedef enum Turn
{
	TURN_NOW,
	TURN_LATER, /* at resume_at, or there will be another look */
	TURN_NEVER  /* not in time: what the last attempt came to is the end */
} Turn;

extern Repeats flex_repeats_begin(const Endpoint *endpoint, RateKey rate);
extern bool flex_repeats_plan(Repeats *repeats, const Outcome *outcome);
extern Turn flex_repeats_look(Repeats *repeats, const Outcome *outcome);

#endif /* FLEX_REPEATS_H */
