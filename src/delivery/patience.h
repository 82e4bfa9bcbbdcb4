/*
 * patience.h
 *		Limits how long a statement continues to send to a service that accepts nothing.
 */
#ifndef FLEX_PATIENCE_H
#define FLEX_PATIENCE_H

#include "http/verdict.h"

/* Times are of flex_clock_ms(). */
typedef struct Patience
{
	int64 ms;            /* set by the caller: how long all requests must have failed before we give up */
	int at_once;         /* set by the caller: the number of requests that may be in flight */
	int64 failing_since; /* the first failure since a request was last processed, or 0 */
	int64 failed_at;     /* the last failure */
	int failures;        /* since a request was last processed */
	int pauses;          /* likewise */
	int64 pause_until;   /* no new element is begun before this time */
	char *reason;        /* description of the last failure, or NULL */
} Patience;

extern void flex_patience_note(Patience *patience, const Outcome *outcome, MemoryContext context);
extern bool flex_patience_is_tried(const Patience *patience);
extern bool flex_patience_is_over(const Patience *patience, bool is_hopeless);

#endif /* FLEX_PATIENCE_H */
