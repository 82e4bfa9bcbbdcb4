/*
 * crowd.h
 *		Attempts at requests, one or many at once.
 */
#ifndef FLEX_CROWD_H
#define FLEX_CROWD_H

#include "http/poller.h"
#include "http/verdict.h"

/* A set of attempts that are waited for together.  It is allocated in the context that was current at its creation. */
typedef struct Crowd Crowd;

/*
 * One attempt: a request, the endpoint it is sent to, its transfer and its deadline.  It is
 * allocated in the context that was current when it was added; if that context is reset or
 * deleted, the attempt is ended by a callback.
 */
typedef struct Attempt Attempt;

/* How deadlines are enforced, and whether reading of answers may be suspended (see backpressure.c). */
typedef enum CrowdKind
{
	CROWD_OF_ONE, /* libcurl enforces the deadline, to the millisecond, whatever else this process does */
	CROWD_OF_MANY /* flex_crowd_advance() does, after it has read; time while suspended does not count */
} CrowdKind;

extern Crowd *flex_crowd_create(CrowdKind kind);
extern Attempt *flex_crowd_add(Crowd *crowd, const HttpRequest *request, const Endpoint *endpoint, int64 deadline);
extern long flex_crowd_advance(Crowd *crowd);
extern bool flex_crowd_wait(Crowd *crowd, long timeout_ms, WaitKind otherwise);
extern Attempt *flex_crowd_next_finished(Crowd *crowd);

/* A descriptor for another WaitEventSet, on Linux only. */
extern pgsocket flex_crowd_descriptor(Crowd *crowd, int64 wake_at);

extern void flex_attempt_set_owner(Attempt *attempt, void *owner);
extern void *flex_attempt_owner(const Attempt *attempt);
extern void flex_attempt_set_number(Attempt *attempt, int number);
extern void flex_attempt_count_rows(Attempt *attempt, int64 rows);
extern bool flex_attempt_is_over(const Attempt *attempt);
extern bool flex_attempt_awaits_answer(const Attempt *attempt);
extern size_t flex_attempt_answer_length(const Attempt *attempt);
extern Outcome flex_attempt_outcome(Attempt *attempt, bool was_maybe_done, const char *given_up);
extern void flex_attempt_end(Attempt *attempt);

#endif /* FLEX_CROWD_H */
