/*
 * patience.h
 *		How long a statement goes on asking a service that lets nothing through.
 */
#ifndef FLEX_PATIENCE_H
#define FLEX_PATIENCE_H

#include "http/verdict.h"

/* Times are of flex_clock_ms(). */
typedef struct Patience
{
	int64 ms;            /* nothing has to get through for so long, so that it is at an end */
	int at_once;         /* requests that may be under way; as many failures have to be more than an accident */
	int64 failing_since; /* the first failure since something got through; 0: none */
	int64 failed_at;     /* the last one */
	int failures;
	int pauses;
	int64 pause_until; /* no further request is begun before */
	char *reason;      /* what the last failure was; NULL: there was none */
} Patience;

extern void flex_patience_note(Patience *patience, const Outcome *outcome, MemoryContext context);
extern bool flex_patience_is_tried(const Patience *patience);
extern bool flex_patience_is_over(const Patience *patience, bool is_hopeless);

#endif /* FLEX_PATIENCE_H */
