/*
 * lanes.c
 *		Which of the outbox's requests are sent next, and when.
 *
 * A lane is what waits of one operation at one priority.  They are looked up by
 * one statement, the most urgent first, and then claimed from, as far as there is
 * room and the rate of each operation allows.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/settings.h"
#include "delivery/lanes.h"
#include "delivery/rate_limits.h"
#include "http/poller.h"
#include "outbox/settling.h"

#define LANES_MS 200 /* a more urgent lane is not seen for so long */

struct Lanes
{
	int64 requests_left;   /* that may still be claimed */
	TimestampTz due_at;    /* of the next request; 0: there is none */
	TimestampTz tokens_at; /* when the rate allows a request that is due; 0: none waits for it */
	Lane *lanes;           /* as they were at lanes_at */
	int lanes_count;
	int64 lanes_at; /* flex_clock_ms(); 0: unknown */
	uint64 holds;   /* flex_outbox_holds() at that time */
	MemoryContext lanes_context;
};

/* Lanes from which so many requests may be claimed; they live in the current context. */
Lanes *
flex_lanes_create(int64 max_requests)
{
	Lanes *lanes = palloc0(sizeof(Lanes));

	lanes->requests_left = max_requests;
	lanes->lanes_context = AllocSetContextCreate(CurrentMemoryContext, "flex_api lanes", ALLOCSET_DEFAULT_SIZES);
	return lanes;
}

/* The earlier of two times, where 0 means none. */
static TimestampTz
earlier(TimestampTz a, TimestampTz b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* A request is due at that time. */
static void
note_due(Lanes *lanes, TimestampTz due_at)
{
	lanes->due_at = earlier(lanes->due_at, due_at);
}

/* There may be something to claim. */
void
flex_lanes_look_now(Lanes *lanes)
{
	note_due(lanes, GetCurrentTimestamp());
}

/* Nothing is to be claimed before so many milliseconds are over, unless we are told to look. */
void
flex_lanes_put_off(Lanes *lanes, int64 ms)
{
	flex_lanes_forget(lanes);
	lanes->tokens_at = 0;
	lanes->due_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
}

/* What is known of the lanes is no longer true, perhaps. */
void
flex_lanes_forget(Lanes *lanes)
{
	lanes->lanes_at = 0;
}

/* How many requests may be under way at once: more than there are sockets for would only wait. */
static int
concurrency(void)
{
	return Min(flex_settings.concurrency, flex_poller_capacity());
}

/* True when there is too little room beside what is under way for a claim to be worth it. */
bool
flex_lanes_is_full(int under_way)
{
	return concurrency() - under_way < Max(concurrency() / 4, 1);
}

/* True when requests are due and it is worth claiming some. */
bool
flex_lanes_may_claim(Lanes *lanes, int under_way)
{
	TimestampTz now = GetCurrentTimestamp();

	if (lanes->tokens_at != 0 && lanes->tokens_at <= now)
		note_due(lanes, lanes->tokens_at);
	return flex_settings.delivery && lanes->requests_left > 0 && (under_way == 0 || !flex_lanes_is_full(under_way)) &&
		   lanes->due_at != 0 && lanes->due_at <= now;
}

/* True when requests are due that only their rate keeps back. */
bool
flex_lanes_waits_for_rate(const Lanes *lanes)
{
	return flex_settings.delivery && lanes->requests_left > 0 && lanes->tokens_at != 0;
}

/* When the next request may be claimed, for all we know; 0: there is none. */
TimestampTz
flex_lanes_next_at(const Lanes *lanes)
{
	return flex_settings.delivery && lanes->requests_left > 0 ? earlier(lanes->due_at, lanes->tokens_at) : 0;
}

/*
 * Claim requests of a lane, from where the last claim ended: before that, the
 * index has the entries of what was sent, until the next vacuum.  Only when there
 * is nothing more behind, all of it is looked at.
 */
static Claim *
claim_from_last(Lane *lane, int limit, int *count)
{
	Claim *claims = flex_outbox_claim(lane, limit, count);

	if (*count == 0 && lane->claim_from != DT_NOBEGIN)
	{
		lane->claim_from = DT_NOBEGIN;
		claims = flex_outbox_claim(lane, limit, count);
	}
	Assert(*count <= limit);
	for (int i = 0; i < *count; i++)
		lane->claim_from = Max(lane->claim_from, claims[i].run_at);
	return claims;
}

/* Claim what may be sent of a lane, into claims, which have room for so many.  Returns how many were. */
static int
claim_lane(Lanes *lanes, Lane *lane, Claim *claims, int room)
{
	const Operation *operation = flex_operation_find(lane->operation);
	int granted;
	int count;
	const Claim *claimed;

	if (operation != NULL && flex_rate_limits_is_paused(operation))
		return 0;
	granted = operation != NULL ? flex_rate_limits_take(operation, room) : room;
	if (granted == 0)
	{
		TimestampTz tokens_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), flex_rate_limits_wait_ms(operation));

		lanes->tokens_at = earlier(lanes->tokens_at, tokens_at);
		return 0;
	}
	claimed = claim_from_last(lane, granted, &count);
	memcpy(claims, claimed, sizeof(Claim) * count);
	if (operation != NULL)
		flex_rate_limits_give_back(operation, granted - count);
	/* There may be more of it. */
	if (count > 0)
		flex_lanes_look_now(lanes);
	return count;
}

/* Look which lanes there are, unless that was done a moment ago. */
static void
look_at_lanes(Lanes *lanes)
{
	MemoryContext before;

	if (lanes->lanes_at != 0 && flex_clock_ms() - lanes->lanes_at < LANES_MS && lanes->holds == flex_outbox_holds())
		return;
	MemoryContextReset(lanes->lanes_context);
	before = MemoryContextSwitchTo(lanes->lanes_context);
	lanes->lanes = flex_outbox_lanes(&lanes->lanes_count);
	MemoryContextSwitchTo(before);
	lanes->lanes_at = flex_clock_ms();
	lanes->holds = flex_outbox_holds();
}

/* Claim of all lanes what is due, as long as there is room; returns how many requests. */
static int
claim_lanes(Lanes *lanes, Claim *claims, int room)
{
	TimestampTz now = GetCurrentTimestamp();
	int claimed = 0;

	lanes->due_at = 0;
	lanes->tokens_at = 0;
	for (int i = 0; i < lanes->lanes_count; i++)
	{
		if (lanes->lanes[i].due_at <= now && room > claimed)
			claimed += claim_lane(lanes, &lanes->lanes[i], claims + claimed, room - claimed);
		else
			note_due(lanes, lanes->lanes[i].due_at);
	}
	return claimed;
}

/*
 * Claim what is due, as long as there is room beside what is under way.  Returns the
 * claims, in the current context; they may be sent after a commit, to disk.
 */
Claim *
flex_lanes_claim(Lanes *lanes, int under_way, int *count)
{
	int room = (int) Min((int64) (concurrency() - under_way), lanes->requests_left);
	bool were_known = lanes->lanes_at != 0;
	Claim *claims;

	*count = 0;
	if (lanes->requests_left == 0 || !flex_settings.delivery)
		return NULL;
	look_at_lanes(lanes);
	claims = palloc(sizeof(Claim) * Max(room, 1));
	*count = claim_lanes(lanes, claims, room);
	lanes->requests_left -= *count;
	if (*count > 0)
		return claims;
	/* What was known of the lanes is used up: look again, at once if it was not new. */
	flex_lanes_forget(lanes);
	if (were_known)
		flex_lanes_look_now(lanes);
	return claims;
}
