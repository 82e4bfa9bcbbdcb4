/*
 * pace.c
 *		A rate that follows a limit which nobody has told us.
 *
 * The service refuses what is beyond its limit, and does not say what that is.  On a
 * refusal the rate falls at once, to a share of what got through in the last second.
 * Then it grows as CUBIC does (RFC 9438): with the third power of the time since the
 * fall, quickly at first, slowly near the rate at which it was refused, and quickly again
 * when the limit has moved.  While everything is refused, single requests probe.
 *
 * Requests that were sent before the fall and are refused after it say nothing new.
 */
#include "postgres.h"

#include <math.h>

#include "shared/pace.h"

#define SECOND INT64CONST(1000000)
#define SLOT (SECOND / (PACE_SLOTS - 1))

#define SHARE_LEFT 0.75  /* of what got through, after a refusal */
#define LEAST_RATE 0.125 /* per second */
#define BURST_SECONDS 0.1

/* Requests per second, per second to the third power: a share of the rate, so that few are refused of few; but bounded. */
#define GROWTH_SHARE 0.3
#define LEAST_GROWTH 0.4
#define MOST_GROWTH 4.0

#define NEARLY 500 /* microseconds */

#define FIRST_PROBE (SECOND / 8)
#define LAST_PROBE (5 * SECOND)
#define FORGET_AFTER (60 * SECOND) /* of probes that nobody made */
#define PROBE_FACTOR 1.5

/* Count from here on what gets through now: what is older than a second is forgotten. */
static void
turn_slots(Pace *pace, int64 now)
{
	int64 slot = now / SLOT;

	for (int64 i = Max(pace->passed_slot + 1, slot - PACE_SLOTS + 1); i <= slot; i++)
		pace->passed[i % PACE_SLOTS] = 0;
	pace->passed_slot = Max(pace->passed_slot, slot);
}

/*
 * Requests per second that got through in the last second; where those are too few to tell,
 * the last few, however long they took.
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

/* How fast the rate grows. */
static double
growth(const Pace *pace)
{
	return Min(Max(pace->before * GROWTH_SHARE, LEAST_GROWTH), MOST_GROWTH);
}

/* Seconds after its fall at which the rate is what it was before. */
static double
seconds_to_before(const Pace *pace)
{
	return cbrt((pace->before - pace->after) / growth(pace));
}

/* Seconds from the fall to a time. */
static double
seconds_since_fall(const Pace *pace, int64 at)
{
	return (double) (at - pace->fell_at) / SECOND;
}

/* Requests per second that may be sent now; PACE_MOST_RATE where nothing is known. */
double
flex_pace_rate(const Pace *pace, int64 now)
{
	double rate;

	if (pace->fell_at == 0)
		return PACE_MOST_RATE;
	rate = pace->before + growth(pace) * pow(Max(seconds_since_fall(pace, now), 0) - seconds_to_before(pace), 3);
	return Max(Min(rate, PACE_MOST_RATE), LEAST_RATE);
}

/* Requests that may be sent from one time to another, after the last fall: the integral of the rate. */
static double
requests_between(const Pace *pace, int64 from, int64 to)
{
	double offset = seconds_to_before(pace);
	double fourth = pow(seconds_since_fall(pace, to) - offset, 4) - pow(seconds_since_fall(pace, from) - offset, 4);

	return pace->before * (double) (to - from) / SECOND + growth(pace) / 4 * fourth;
}

/* Requests that may be sent at once after a pause. */
static double
burst(double rate)
{
	return Max(1.0, rate * BURST_SECONDS);
}

/* Bring the tokens up to date. */
static void
fill(Pace *pace, int64 now)
{
	/* A process that had to wait for its processor comes with an old time. */
	now = Max(now, pace->filled_at);
	pace->tokens += requests_between(pace, pace->filled_at, now);
	pace->tokens = Min(pace->tokens, burst(flex_pace_rate(pace, now)));
	pace->filled_at = now;
}

/* A request that was sent at that time was answered, and not with 429. */
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
	/* The time in which everything was refused is none in which the rate has grown. */
	pace->probe_at = 0;
	pace->fell_at = now;
	pace->filled_at = now;
}

/* Let the rate fall, to what is possible at least. */
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

/* The service asks to be left alone for so long, without having refused for there were too many. */
void
flex_pace_pause(Pace *pace, int64 pause, int64 now)
{
	pace->paused_until = Max(pace->paused_until, now + pause);
}

/*
 * A request that was sent at that time was refused; pause: how long the service asks to
 * be left alone, 0: it does not say.
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
	/* One refusal among others that got through is the limit; a second one after it is more. */
	if (is_first && pace->before >= 1 && pause == 0)
		return;
	if (pace->probe_at == 0)
		pace->probe_interval = FIRST_PROBE;
	else
		pace->probe_interval = Min((int64) (pace->probe_interval * PROBE_FACTOR), LAST_PROBE);
	pace->probe_at = now + Max(pace->probe_interval, pause);
}

/* How many of the wanted requests may be sent now; they count as sent. */
int
flex_pace_take(Pace *pace, int wanted, int64 now)
{
	int granted;

	Assert(wanted >= 0);
	if (now < pace->paused_until || wanted == 0)
		return 0;
	if (pace->fell_at == 0)
		return wanted;
	/* Nobody has probed for long: what was learnt is of another day. */
	if (pace->probe_at != 0 && now - pace->probe_at >= FORGET_AFTER)
	{
		pace->probe_at = 0;
		pace->fell_at = now;
	}
	if (pace->probe_at != 0)
	{
		if (now < pace->probe_at)
			return 0;
		/* If its answer is lost, there will be another. */
		pace->probe_at = now + LAST_PROBE;
		return 1;
	}
	fill(pace, now);
	granted = (int) Min((double) wanted, pace->tokens);
	granted = Max(granted, 0);
	pace->tokens -= granted;
	return granted;
}

/* A request is sent at once, whether it may or not. */
void
flex_pace_debit(Pace *pace, int64 now)
{
	if (pace->fell_at == 0)
		return;
	fill(pace, now);
	/* Not more than one second's: what is late is not to be late for ever. */
	pace->tokens = Max(pace->tokens - 1, -flex_pace_rate(pace, now));
}

/* Some of what was taken was not sent after all. */
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

/* When there will be a token; the rate grows meanwhile. */
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

/* When a request may be sent, for all that is known now: at that time, or before it if it may be sent now. */
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
