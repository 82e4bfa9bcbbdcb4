/*
 * repeats.c
 *		When a request is sent again, while its statement waits for it.
 *
 * Which requests may be repeated is for verdict.c to say.  flex_api.max_retries and
 * flex_api.timeout bound the whole: a repeat that could not be answered in time is not
 * begun.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/effective.h"
#include "http/repeats.h"

/*
 * For a request that is sent now, as its endpoint has it, or else the settings that count
 * for a call of the current role.
 */
Repeats
flex_repeats_begin(const Endpoint *endpoint)
{
	bool has_own_most = endpoint->max_retries != FLEX_AS_SETTINGS;
	bool has_own_timeout = endpoint->timeout != FLEX_AS_SETTINGS;

	return (Repeats){
		.most = has_own_most ? endpoint->max_retries : flex_effective_integer(&flex_settings.max_retries),
		.deadline =
			flex_clock_ms() + (has_own_timeout ? endpoint->timeout : flex_effective_integer(&flex_settings.timeout)),
	};
}

/* Plan another attempt, if that is safe, useful and in time for one as long as this was. */
bool
flex_repeats_plan(Repeats *repeats, const Outcome *outcome)
{
	int64 resume_at;

	if (repeats->made >= repeats->most || outcome->verdict != VERDICT_AGAIN)
		return false;
	resume_at = flex_clock_ms() + Max(flex_backoff_ms(BACKOFF_CALL, repeats->made), outcome->retry_after_ms);
	if (resume_at + outcome->elapsed_ms >= repeats->deadline)
		return false;
	repeats->made++;
	repeats->resume_at = resume_at;
	repeats->was_maybe_done |= outcome->may_be_done;
	return true;
}
