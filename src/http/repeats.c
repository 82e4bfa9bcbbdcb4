/*
 * repeats.c
 *		When a request is sent, and sent again, while its statement waits for it.
 *
 * verdict.c decides which requests may be repeated.  flex_api.max_retries limits the number
 * of repeats, and flex_api.timeout the total time: a repeat is not begun if it would be
 * answered too late, assuming that it takes as long as the last attempt.
 *
 * An attempt refused with 429 does not count towards flex_api.max_retries.  Unless that is
 * 0, the request waits until the rate limiter gives it a turn, which is shared with the
 * account's other requests of that kind.  A first attempt waits for its turn, too, but not
 * for long (FIRST_PATIENCE_MS): then it is sent anyway, to learn whether it is still refused.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/effective.h"
#include "http/repeats.h"

#define FIRST_PATIENCE_MS 1000

/*
 * Return the initial state of a request that is to be sent now, and counts for a rate limit.
 * Timeout and number of repeats are the endpoint's or, if it has none, those of the settings
 * in effect for the current role.
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

/* Return true if an attempt begun at a time, and as long as the last one, would end before the deadline. */
static bool
is_in_time(const Repeats *repeats, int64 begin_at, const Outcome *outcome)
{
	return begin_at + outcome->elapsed_us / 1000 < repeats->deadline;
}

/*
 * Given the outcome of the last attempt, plan another one and return true, if that is safe,
 * allowed and in time.
 */
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
 * Return whether a request is to be sent now.  outcome is that of its last attempt, or NULL
 * before the first.  If TURN_NOW is returned, the request counts as sent in its rate limit.
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
