/*
 * patience.c
 *		Limits how long a statement continues to send to a service that accepts nothing.
 *
 * If the service is unreachable, or answers everything with 503 or 429, each element of a
 * statement would make a request that fails, as fast as they fail.  So when more requests
 * have failed in succession than may be in flight at the same time, only one is sent at a
 * time, with growing pauses.  When nothing has been accepted for as long as a single call
 * would wait for an answer, the rest of the statement is not sent.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "delivery/patience.h"

#define STATUS_TOO_MANY 429
#define FEW 5 /* fewer failures than that may be an accident, whatever the concurrency */

/* Return true if the outcome shows that the service processes requests, even if it has rejected this one. */
static bool
is_processed(const Outcome *outcome)
{
	int status = outcome->answer.http_status;

	if (outcome->failure_kind == FAILURE_NONE)
		return status < 500 && status != STATUS_TOO_MANY;
	return outcome->failure_kind == FAILURE_TOO_LARGE;
}

/* Note the outcome of an attempt.  The reason of a failure is copied into the given context. */
void
flex_patience_note(Patience *patience, const Outcome *outcome, MemoryContext context)
{
	int64 now = flex_clock_ms();

	if (is_processed(outcome))
	{
		patience->failing_since = 0;
		patience->failures = patience->pauses = 0;
		patience->pause_until = 0;
		return;
	}
	if (patience->failing_since == 0)
		patience->failing_since = now;
	patience->failed_at = now;
	patience->failures++;
	if (patience->reason != NULL)
		pfree(patience->reason);
	patience->reason = outcome->failure != NULL
						   ? MemoryContextStrdup(context, outcome->failure)
						   : MemoryContextStrdup(context, psprintf("HTTP status %d", outcome->answer.http_status));
	if (flex_patience_is_tried(patience) && now >= patience->pause_until)
		patience->pause_until = now + flex_backoff_ms(BACKOFF_CALL, patience->pauses++);
}

/* Return true if so many requests have failed in succession that only one should be sent at a time. */
bool
flex_patience_is_tried(const Patience *patience)
{
	return patience->failures > Max(patience->at_once, FEW);
}

/*
 * Return true if no more requests should be sent.  is_hopeless tells that by the rate, which
 * knows the answers to the requests of all sessions, nothing will be accepted in time.
 */
bool
flex_patience_is_over(const Patience *patience, bool is_hopeless)
{
	if (patience->failing_since == 0)
		return false;
	return is_hopeless ||
		   (flex_patience_is_tried(patience) && patience->failed_at - patience->failing_since > patience->ms);
}
