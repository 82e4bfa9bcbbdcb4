/*
 * repeats.c
 *		When a request is sent, and sent again, while its statement waits for it.
 *
 * Which requests may be repeated is for verdict.c to say.  flex_api.max_retries and
 * flex_api.timeout bound the whole: a repeat that could not be answered in time is not
 * begun.
 *
 * One that was refused with 429 is not counted.  It waits for its turn, together with
 * all others that the same account sends to the same operation; where flex_api.max_retries
 * is 0, for nobody.  So does a first attempt while the service is known to refuse more, but
 * not for long: that it is sent tells how things are.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/effective.h"
#include "http/repeats.h"

#define FIRST_PATIENCE_MS 1000

/*
 * For a request that is to be sent now and counts for that rate, as its endpoint has it, or
 * else the settings that count for a call of the current role.
 */
Repeats
flex_repeats_begin(const Endpoint *endpoint, RateKey rate)
{
	bool has_own_most = endpoint->max_retries != FLEX_AS_SETTINGS;
	bool has_own_timeout = endpoint->timeout != FLEX_AS_SETTINGS;
	int64 timeout = has_own_timeout ? endpoint->timeout : flex_effective_integer(&flex_settings.timeout);
	int64 now = flex_clock_ms();

	return (Repeats){
		.rate = rate,
		.most = has_own_most ? endpoint->max_retries : flex_effective_integer(&flex_settings.max_retries),
		.deadline = now + timeout,
		.patient_until = now + Min(FIRST_PATIENCE_MS, timeout / 2),
		.resume_at = now,
		.awaits_turn = true,
	};
}

/* True when an attempt that begins then, and takes as long as the last one did, ends in time. */
static bool
is_in_time(const Repeats *repeats, int64 begin_at, const Outcome *outcome)
{
	return begin_at + outcome->elapsed_us / 1000 < repeats->deadline;
}

/* Plan another attempt, if that is safe, useful and in time for one as long as this was. */
bool
flex_repeats_plan(Repeats *repeats, const Outcome *outcome)
{
	int64 now = flex_clock_ms();
	bool is_throttled = outcome->verdict == VERDICT_THROTTLED;
	int64 resume_at;

	if (is_throttled)
		resume_at = now + flex_rates_turn_ms(repeats->rate);
	else
		resume_at = now + Max(flex_backoff_ms(BACKOFF_CALL, repeats->made), outcome->retry_after_ms);
	if (is_throttled ? repeats->most == 0 : repeats->made >= repeats->most || outcome->verdict != VERDICT_AGAIN)
		return false;
	if (!is_in_time(repeats, resume_at, outcome))
		return false;
	repeats->made += is_throttled ? 0 : 1;
	repeats->resume_at = resume_at;
	repeats->awaits_turn = is_throttled;
	repeats->was_maybe_done |= outcome->may_be_done;
	return true;
}

/*
 * Is it the turn of a request that waits, for its first attempt (outcome NULL) or after one
 * that came to that?  If so, it counts as sent.
 */
Turn
flex_repeats_look(Repeats *repeats, const Outcome *outcome)
{
	int64 now = flex_clock_ms();
	int64 turn_at;

	if (now < repeats->resume_at)
		return TURN_LATER;
	if (repeats->awaits_turn && flex_rates_take_turn(repeats->rate))
		return TURN_NOW;
	turn_at = now + flex_rates_turn_ms(repeats->rate);
	if (!repeats->awaits_turn || (outcome == NULL && (repeats->most == 0 || turn_at > repeats->patient_until)))
	{
		flex_rates_spend(repeats->rate);
		return TURN_NOW;
	}
	if (outcome != NULL && !is_in_time(repeats, turn_at, outcome))
		return TURN_NEVER;
	repeats->resume_at = turn_at;
	return TURN_LATER;
}
