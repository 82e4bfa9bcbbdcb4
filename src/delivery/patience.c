/*
 * patience.c
 *		How long a statement goes on asking a service that lets nothing through.
 *
 * A service that is not there, or answers everything with 503 or 429, costs each element
 * of a statement a request, at the speed at which it refuses.  So when more requests have
 * failed in a row than may be under way at once, single ones find out whether something
 * gets through again, with growing pauses between them; when nothing has for as long as
 * one call would wait for an answer, what is left of the statement is not sent.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "delivery/patience.h"

#define STATUS_TOO_MANY 429
#define FEW 5

/* True when the end of a request shows that the service lets requests through, if only to refuse this one. */
static bool
is_let_through(const Outcome *outcome)
{
	int status = outcome->answer.http_status;

	if (outcome->failure_kind == FAILURE_NONE)
		return status < 500 && status != STATUS_TOO_MANY;
	return outcome->failure_kind == FAILURE_TOO_LARGE;
}

/* Note what an attempt came to; what has to be kept of it is, in that context. */
void
flex_patience_note(Patience *patience, const Outcome *outcome, MemoryContext context)
{
	int64 now = flex_clock_ms();

	if (is_let_through(outcome))
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

/* True when so much has failed that one request at a time is enough to see whether that goes on. */
bool
flex_patience_is_tried(const Patience *patience)
{
	return patience->failures > Max(patience->at_once, FEW);
}

/*
 * True when no more is to be sent.  is_hopeless: the rate of such requests says, from what
 * all statements have met, that nothing will get through in time.
 */
bool
flex_patience_is_over(const Patience *patience, bool is_hopeless)
{
	if (patience->failing_since == 0)
		return false;
	return is_hopeless ||
		   (flex_patience_is_tried(patience) && patience->failed_at - patience->failing_since > patience->ms);
}
