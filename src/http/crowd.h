/*
 * crowd.h
 *		Attempts at requests, one or many at once.
 */
#ifndef FLEX_CROWD_H
#define FLEX_CROWD_H

#include "http/poller.h"
#include "http/verdict.h"

/* Attempts that are waited for together.  It lives in the context that it was made in. */
typedef struct Crowd Crowd;

/*
 * One attempt: a request, the endpoint it is sent to, its transfer and its deadline.
 * It lives in the context that it was added in, whose end lets go of its connection.
 */
typedef struct Attempt Attempt;

/* How the time of the attempts is watched, and whether their answers may have to wait. */
typedef enum CrowdKind
{
	CROWD_OF_ONE, /* to the millisecond, whatever else this process does */
	CROWD_OF_MANY /* while it reads: answers may be held back, and have their time afterwards */
} CrowdKind;

extern Crowd *flex_crowd_create(CrowdKind kind);
extern Attempt *flex_crowd_add(Crowd *crowd, const HttpRequest *request, const Endpoint *endpoint, int64 deadline);
extern long flex_crowd_advance(Crowd *crowd);
extern bool flex_crowd_wait(Crowd *crowd, long timeout_ms, WaitKind otherwise);
extern Attempt *flex_crowd_next_finished(Crowd *crowd);

/* To be waited for from outside, on Linux alone: elsewhere, and when no descriptor is left, PGINVALID_SOCKET. */
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
