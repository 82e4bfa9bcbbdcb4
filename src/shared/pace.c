/*
 * pace.c
 *		A rate that adapts to a rate limit which the service does not disclose.
 *
 * The service refuses requests beyond its limit (status 429), and does not tell the limit.
 * On a refusal the rate is reduced at once ("falls"), to a share of the rate at which
 * requests were accepted during the last second.  Then it grows as TCP's CUBIC does
 * (RFC 9438), with the third power of the time: quickly at first, slowly near the rate at
 * which requests were refused, and quickly again beyond it, in case the limit has risen.
 * While everything is refused, only single requests are sent, as probes.
 *
 * A request that was sent before the fall and is refused after it has no effect: that the
 * former rate was too high is known already.
 */
#include "postgres.h"

#include <math.h>

#include "shared/pace.h"

#define SECOND INT64CONST(1000000)
#define SLOT (SECOND / (PACE_SLOTS - 1))

#define SHARE_LEFT 0.75   /* the rate after a fall, as a share of the accepted rate */
#define LEAST_RATE 0.125  /* per second */
#define BURST_SECONDS 0.1 /* size of the token bucket, as time at the current rate */

/*
 * CUBIC's constant C, here in requests per second^4.  It is a share of the rate, so that
 * slow accounts do not overshoot by more requests than they can afford, within bounds.
 */
#define GROWTH_SHARE 0.3
#define LEAST_GROWTH 0.4
#define MOST_GROWTH 4.0

#define NEARLY 500 /* precision of token_at(), in microseconds */

#define FIRST_PROBE (SECOND / 8)
#define LAST_PROBE (5 * SECOND)
#define FORGET_AFTER (60 * SECOND) /* a probe that is overdue by this much ends the probing */
#define PROBE_FACTOR 1.5

/* Make the slot of the present the newest one, and zero the slots that it overwrites. */
static void
turn_slots(Pace *pace, int64 now)
{
	int64 slot = now / SLOT;

	for (int64 i = Max(pace->passed_slot + 1, slot - PACE_SLOTS + 1); i <= slot; i++)
		pace->passed[i % PACE_SLOTS] = 0;
	pace->passed_slot = Max(pace->passed_slot, slot);
}

/*
 * Return the rate at which requests were accepted during the last second.  If those are
 * fewer than PACE_FEW, compute it from the last PACE_FEW requests, however old they are.
 */
static double
passed_lately(Pace *pace, int64 now)
{
	double share_of_oldest = 1 - (double) (now % SLOT) / SLOT;
	int64 since = pace->passed_at[0];
	double sum;

	turn_slots(pace, now);
	sum = share_of_oldest * pace->passed[(pace->passed_slot + 1) % PACE_SLOTS];
	for (int i = 0; i < PACE_SLOTS - 1; i++)
		sum += pace->passed[(pace->passed_slot - i + PACE_SLOTS) % PACE_SLOTS];
	return sum >= PACE_FEW || since == 0 ? sum : PACE_FEW / Max((double) (now - since) / SECOND, 1);
}

/* Return CUBIC's constant for the current rate. */
static double
growth(const Pace *pace)
{
	return Min(Max(pace->before * GROWTH_SHARE, LEAST_GROWTH), MOST_GROWTH);
}

/* Return how many seconds after the fall the rate will be again what it was before (CUBIC's K). */
static double
seconds_to_before(const Pace *pace)
{
	return cbrt((pace->before - pace->after) / growth(pace));
}

/* Return the seconds between the fall and a time. */
static double
seconds_since_fall(const Pace *pace, int64 at)
{
	return (double) (at - pace->fell_at) / SECOND;
}

/* Return the current rate in requests per second; PACE_MOST_RATE if nothing has been refused. */
double
flex_pace_rate(const Pace *pace, int64 now)
{
	double rate;

	if (pace->fell_at == 0)
		return PACE_MOST_RATE;
	rate = pace->before + growth(pace) * pow(Max(seconds_since_fall(pace, now), 0) - seconds_to_before(pace), 3);
	return Max(Min(rate, PACE_MOST_RATE), LEAST_RATE);
}

/* Return how many requests the rate allows between two times after the fall: the integral of the rate. */
static double
requests_between(const Pace *pace, int64 from, int64 to)
{
	double offset = seconds_to_before(pace);
	double fourth = pow(seconds_since_fall(pace, to) - offset, 4) - pow(seconds_since_fall(pace, from) - offset, 4);

	return pace->before * (double) (to - from) / SECOND + growth(pace) / 4 * fourth;
}

/* Return the size of the token bucket: how many requests may be sent at once after an idle time. */
static double
burst(double rate)
{
	return Max(1.0, rate * BURST_SECONDS);
}

/* Add the tokens that have accrued since filled_at. */
static void
fill(Pace *pace, int64 now)
{
	/* A process that was preempted after it read the clock may be behind others. */
	now = Max(now, pace->filled_at);
	pace->tokens += requests_between(pace, pace->filled_at, now);
	pace->tokens = Min(pace->tokens, burst(flex_pace_rate(pace, now)));
	pace->filled_at = now;
}

/* Note that a request sent at sent_at was answered with another status than 429. */
void
flex_pace_note_passed(Pace *pace, int64 sent_at, int64 now)
{
	turn_slots(pace, now);
	pace->passed[pace->passed_slot % PACE_SLOTS]++;
	memmove(&pace->passed_at[0], &pace->passed_at[1], sizeof(int64) * (PACE_FEW - 1));
	pace->passed_at[PACE_FEW - 1] = now;
	if (sent_at < pace->fell_at)
		return;
	pace->has_passed = true;
	pace->refused_for = 0;
	if (pace->probe_at == 0)
		return;
	/* The rate must not have grown while everything was refused. */
	pace->probe_at = 0;
	pace->fell_at = now;
	pace->filled_at = now;
}

/* Reduce the rate, but not below LEAST_RATE. */
static void
fall(Pace *pace, int64 now)
{
	double lately = passed_lately(pace, now);
	double after = Min(flex_pace_rate(pace, now), lately * SHARE_LEFT);

	pace->after = Max(after, LEAST_RATE);
	pace->before = Max(lately, pace->after / SHARE_LEFT);
	pace->fell_at = now;
	pace->tokens = 0;
	pace->filled_at = now;
}

/* Send nothing for the duration of a pause that the service asked for; the rate stays what it is. */
void
flex_pace_pause(Pace *pace, int64 pause, int64 now)
{
	pace->paused_until = Max(pace->paused_until, now + pause);
}

/*
 * Note that a request sent at sent_at was refused with 429.  pause is how long the service
 * asked us to wait (Retry-After), or 0.
 */
void
flex_pace_note_refused(Pace *pace, int64 sent_at, int64 pause, int64 now)
{
	bool is_first = pace->fell_at == 0 || pace->has_passed;

	if (pace->refused_for == 0)
		pace->refused_for = now;
	flex_pace_pause(pace, pause, now);
	if (pace->fell_at != 0 && sent_at < pace->fell_at)
		return;
	fall(pace, now);
	pace->has_passed = false;
	/*
	 * A first refusal among accepted requests just means that the limit has been reached.
	 * If the next one is refused as well, at the reduced rate, begin to probe.
	 */
	if (is_first && pace->before >= 1 && pause == 0)
		return;
	if (pace->probe_at == 0)
		pace->probe_interval = FIRST_PROBE;
	else
		pace->probe_interval = Min((int64) (pace->probe_interval * PROBE_FACTOR), LAST_PROBE);
	pace->probe_at = now + Max(pace->probe_interval, pause);
}

/* Return how many of the wanted requests may be sent now, and take their tokens. */
int
flex_pace_take(Pace *pace, int wanted, int64 now)
{
	int granted;

	Assert(wanted >= 0);
	if (now < pace->paused_until || wanted == 0)
		return 0;
	if (pace->fell_at == 0)
		return wanted;
	/* No probe was sent when one was due long ago: what was learned then is out of date. */
	if (pace->probe_at != 0 && now - pace->probe_at >= FORGET_AFTER)
	{
		pace->probe_at = 0;
		pace->fell_at = now;
	}
	if (pace->probe_at != 0)
	{
		if (now < pace->probe_at)
			return 0;
		/* Let another probe follow even if no answer to this one is ever noted. */
		pace->probe_at = now + LAST_PROBE;
		return 1;
	}
	fill(pace, now);
	granted = (int) Min((double) wanted, pace->tokens);
	granted = Max(granted, 0);
	pace->tokens -= granted;
	return granted;
}

/* Take the token of a request that is sent at once, whether the rate allows it or not. */
void
flex_pace_debit(Pace *pace, int64 now)
{
	if (pace->fell_at == 0)
		return;
	fill(pace, now);
	/* A debt of at most one second, so that others are not delayed without bound. */
	pace->tokens = Max(pace->tokens - 1, -flex_pace_rate(pace, now));
}

/* Return the tokens of requests that were not sent after all. */
void
flex_pace_give_back(Pace *pace, int count, int64 now)
{
	if (count == 0 || pace->fell_at == 0)
		return;
	if (pace->probe_at != 0)
		pace->probe_at = Min(pace->probe_at, now);
	else
		pace->tokens += count;
}

/*
 * Return when there will be a token, by bisection: the integral of the growing rate has no
 * convenient inverse.  At the current rate the token would come at "late", so it cannot
 * come after that.
 */
static int64
token_at(const Pace *pace, int64 now)
{
	int64 early = now;
	int64 late = now + (int64) ((1 - Min(pace->tokens, 1)) / flex_pace_rate(pace, now) * SECOND) + 1;

	while (late - early > NEARLY)
	{
		int64 middle = early + (late - early) / 2;

		if (pace->tokens + requests_between(pace, now, middle) < 1)
			early = middle;
		else
			late = middle;
	}
	return late;
}

/*
 * Return when the next request may be sent, as far as is known now.  If one may be sent
 * already, that is "now" or a time in the past.
 */
int64
flex_pace_next_at(const Pace *pace, int64 now)
{
	Pace filled = *pace;

	if (pace->probe_at != 0)
		return Max(pace->probe_at, pace->paused_until);
	if (pace->fell_at == 0)
		return Max(now, pace->paused_until);
	fill(&filled, now);
	return Max(filled.tokens >= 1 ? now : token_at(&filled, now), pace->paused_until);
}
