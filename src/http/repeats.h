/*
 * repeats.h
 *		When a request is sent again.
 */
#ifndef FLEX_REPEATS_H
#define FLEX_REPEATS_H

#include "http/verdict.h"

/* The repeats of one request.  Times are of flex_clock_ms(). */
typedef struct Repeats
{
	int made;
	int most;
	int64 deadline;      /* of the request with all its repeats */
	int64 resume_at;     /* when to send it again */
	bool was_maybe_done; /* by an earlier attempt */
} Repeats;

extern Repeats flex_repeats_begin(const Endpoint *endpoint);
extern bool flex_repeats_plan(Repeats *repeats, const Outcome *outcome);

#endif /* FLEX_REPEATS_H */
