/*
 * repeats.h
 *		When a request is sent, and sent again.
 */
#ifndef FLEX_REPEATS_H
#define FLEX_REPEATS_H

#include "http/verdict.h"

/* The state of a request with respect to its repeats.  Times are those of flex_clock_ms(). */
typedef struct Repeats
{
	int attempts;        /* number of attempts begun, counted by the caller */
	RateKey rate;        /* the rate limit that the request counts for */
	int made;            /* number of repeats made, except those after 429 */
	int most;            /* maximum of made */
	int64 deadline;      /* of the request with all its repeats */
	int64 patient_until; /* the first attempt waits for its turn until then */
	int64 resume_at;     /* when to call flex_repeats_look() again */
	bool awaits_turn;    /* the rate limiter must allow it before it is sent */
	bool was_maybe_done; /* an earlier attempt may have been carried out */
} Repeats;

/* Whether a request is to be sent. */
typedef enum Turn
{
	TURN_NOW,
	TURN_LATER, /* not yet: look again at resume_at */
	TURN_NEVER  /* its turn would be too late: the outcome of the last attempt is final */
} Turn;

extern Repeats flex_repeats_begin(const Endpoint *endpoint, RateKey rate);
extern bool flex_repeats_plan(Repeats *repeats, const Outcome *outcome);
extern Turn flex_repeats_look(Repeats *repeats, const Outcome *outcome);

#endif /* FLEX_REPEATS_H */
