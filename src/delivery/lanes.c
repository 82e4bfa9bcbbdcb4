/*
 * lanes.c
 *		Decides which of the outbox's requests are sent next, and when.
 *
 * A lane is the queue of the requests of one role, server, account, operation and priority.  As
 * long as more requests may be in flight, one is chosen from the lane whose turn it is
 * (shares.c), if the rate limits allow it.  Then all chosen requests are claimed together.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/settings.h"
#include "delivery/accounts.h"
#include "delivery/backlog.h"
#include "delivery/claiming.h"
#include "delivery/lanes.h"
#include "delivery/holds.h"
#include "delivery/parking.h"
#include "delivery/rate_limits.h"
#include "delivery/sendable.h"
#include "http/poller.h"
#include "outbox/ordered_rows.h"
#include "outbox/settling.h"
#include "shared/registry.h"

#define PROBE_MS 5000   /* until one request of a blocked lane is tried again */
#define HELD_MS 1000    /* between two checks whether a hold still applies to a lane */
#define PASSED_BUSY 500 /* write a lane's mark when so many requests have been read since */
#define PASSED_IDLE 20  /* the same, when the sender becomes idle */

struct Lanes
{
	int64 requests_left;   /* number of requests that may still be claimed */
	TimestampTz due_at;    /* when to look next; 0 if nothing is known to become due */
	TimestampTz tokens_at; /* when the rate limits allow a request that is due; 0 if none waits for that */
	bool is_told;          /* the sender is woken for new requests; false: it must look again to find them */
	Backlog *backlog;
};

/* Create the lanes of a sender, which may claim up to max_requests, in the current memory context. */
Lanes *
flex_lanes_create(int64 max_requests, bool is_told)
{
	Lanes *lanes = palloc0(sizeof(Lanes));

	*lanes = (Lanes){.requests_left = max_requests, .is_told = is_told, .backlog = flex_backlog_create()};
	return lanes;
}

/* Return the earlier of two times, where 0 means none. */
static TimestampTz
earlier(TimestampTz a, TimestampTz b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Have the next look not later than at the given time, unless that is 0. */
static void
note_due(Lanes *lanes, TimestampTz due_at)
{
	lanes->due_at = earlier(lanes->due_at, due_at);
}

/* Look now, as there may be new requests; at_once: do not delay looking for others' rows of flex_outbox_later. */
void
flex_lanes_look_now(Lanes *lanes, bool at_once)
{
	flex_backlog_expect_later(lanes->backlog, at_once);
	note_due(lanes, GetCurrentTimestamp());
}

/* Claim nothing for so many milliseconds, unless flex_lanes_look_now() is called. */
void
flex_lanes_put_off(Lanes *lanes, int64 ms)
{
	flex_lanes_forget(lanes);
	lanes->tokens_at = 0;
	lanes->due_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
}

/* Forget what has been read, as after an error: it may no longer be true. */
void
flex_lanes_forget(Lanes *lanes)
{
	flex_backlog_forget(lanes->backlog);
}

/* A lane's request has met a hold.  Whether others of a custom operation meet it, too, cannot be known before. */
static void
note_held(Lanes *lanes, int lane_id)
{
	Lane *lane = flex_backlog_lane(lanes->backlog, lane_id);

	if (lane == NULL || lane->operation == NULL)
		return;
	lane->holds_some = true;
	lane->held_ms = flex_clock_ms() + (lane->operation->custom ? PROBE_MS : HELD_MS);
}

/* Note which of the requests that this process has just settled are to be claimed again, and when. */
void
flex_lanes_note_settled(Lanes *lanes)
{
	int count;
	const LaterKey *later = flex_outbox_later(&count);

	for (int i = 0; i < count; i++)
	{
		if (later[i].is_held)
			note_held(lanes, later[i].lane);
		flex_backlog_note_later(lanes->backlog, later[i].lane, later[i].due_at);
		note_due(lanes, Max(later[i].due_at, GetCurrentTimestamp()));
	}
	if (flex_ordered_has_freed())
	{
		flex_backlog_expect_freed(lanes->backlog);
		note_due(lanes, GetCurrentTimestamp());
		/* If we may not claim any more, the worker has to send the next request of the key. */
		if (lanes->requests_left == 0)
			flex_registry_wake(MyDatabaseId);
	}
	/* The list may have been cut off. */
	if (count == LATER_KEPT)
		flex_lanes_look_now(lanes, true);
}

/* A claimed request is not sent: give its token back, and end the probe if it was one. */
void
flex_lanes_give_back(Lanes *lanes, const Claim *claim)
{
	const Operation *operation = flex_operation_find(claim->operation);
	Identity identity = flex_claim_identity(claim);

	if (operation != NULL)
	{
		Route route = flex_accounts_route(&identity, operation);

		flex_holds_end_probe(&route);
		flex_rate_limits_give_back(flex_accounts_rate_key(&identity, operation), 1);
	}
}

/*
 * Note that a request of a lane could be made, or, if is_blocked, that it could not for a
 * reason that an operator has to mend.  In the latter case the lane is blocked, if its
 * credentials are missing: only one of its requests is tried each PROBE_MS.
 */
void
flex_lanes_note_block(Lanes *lanes, int lane_id, bool is_blocked)
{
	Lane *lane = flex_backlog_lane(lanes->backlog, lane_id);

	if (lane == NULL)
		return;
	/* The reason may concern that request alone; in a mixed lane we assume that it does. */
	is_blocked = is_blocked && !lane->is_mixed && !flex_is_sendable(&lane->identity);
	lane->must_release |= !is_blocked && lane->blocked_ms != 0;
	lane->is_proved = !is_blocked;
	lane->blocked_ms = is_blocked ? flex_clock_ms() + PROBE_MS : 0;
}

/* Unblock all lanes, and look again, because an operator may have mended something. */
void
flex_lanes_unblock(Lanes *lanes)
{
	int count;
	Lane *const *all = flex_backlog_lanes(lanes->backlog, &count);

	for (int i = 0; i < count; i++)
	{
		all[i]->blocked_ms = 0;
		all[i]->is_proved = false;
	}
	flex_parking_forget();
	flex_lanes_look_now(lanes, true);
}

/* Return how many requests may be in flight: flex_api.concurrency, but not more than there can be sockets. */
static int
concurrency(void)
{
	return Min(flex_settings.concurrency, flex_poller_capacity());
}

/* Return true if so many requests are in flight that claiming the few that could be added is not worth it. */
bool
flex_lanes_is_full(int under_way)
{
	return concurrency() - under_way < Max(concurrency() / 4, 1);
}

/* Return true if requests are due, as far as known. */
static bool
is_due(const Lanes *lanes)
{
	TimestampTz next_at = earlier(lanes->due_at, lanes->tokens_at);

	return next_at != 0 && next_at <= GetCurrentTimestamp();
}

/* Return true if a look may find requests to claim. */
bool
flex_lanes_may_have_some(const Lanes *lanes, int under_way)
{
	return is_due(lanes) || (under_way == 0 && flex_backlog_leaves_some(lanes->backlog));
}

/* Return true if requests may be due, and it is allowed and worth it to claim some. */
bool
flex_lanes_may_claim(const Lanes *lanes, int under_way)
{
	return flex_settings.delivery && lanes->requests_left > 0 && (under_way == 0 || !flex_lanes_is_full(under_way)) &&
		   flex_lanes_may_have_some(lanes, under_way);
}

/* Return true if requests are due that only a rate limit delays. */
bool
flex_lanes_waits_for_rate(const Lanes *lanes)
{
	return flex_settings.delivery && lanes->requests_left > 0 && lanes->tokens_at != 0;
}

/* Return when the next request may be claimed, as far as known; 0 if there is none. */
TimestampTz
flex_lanes_next_at(const Lanes *lanes)
{
	return flex_settings.delivery && lanes->requests_left > 0 ? earlier(lanes->due_at, lanes->tokens_at) : 0;
}

/* Return the key of the rate limit of a lane, which must have an operation. */
static RateKey
rate_of(const Lane *lane)
{
	Assert(lane->operation != NULL);
	return flex_accounts_rate_key(&lane->identity, lane->operation);
}

/* Return the route of a lane's requests; zeros if not known. */
static Route
route_of(const Lane *lane)
{
	return lane->operation != NULL ? flex_accounts_route(&lane->identity, lane->operation) : (Route){0};
}

/*
 * Return when the next request of a lane may be sent, as a probe, by flex_clock_ms(); 0 if no hold
 * applies.  If a hold applied before, the requests that wait because of it are made due.
 */
static int64
probe_at(Lanes *lanes, Lane *lane)
{
	Route route;
	int64 at_ms;

	if (!lane->holds_some && !flex_holds_any())
		return 0;
	/* If the lane has none left, those that waited have been cancelled. */
	if (lane->later_due == DT_NOEND && flex_lane_waiting(lane) == 0)
		lane->holds_some = false;
	route = route_of(lane);
	at_ms = Max(flex_holds_open_at(&route), lane->held_ms > flex_clock_ms() ? lane->held_ms : 0);
	if (at_ms == 0 && lane->holds_some)
	{
		lane->holds_some = false;
		lane->must_release = true;
		note_due(lanes, GetCurrentTimestamp());
	}
	return at_ms;
}

/* Look again at a time of flex_clock_ms(), when a lane's requests may be sent. */
static void
note_opens(Lanes *lanes, int64 at_ms)
{
	note_due(lanes, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), at_ms - flex_clock_ms()));
}

/* Return true if requests of a lane may be sent now, apart from the rate limit; otherwise note when. */
static bool
is_open(Lanes *lanes, Lane *lane)
{
	int64 now_ms = flex_clock_ms();
	int64 probe_ms = probe_at(lanes, lane);
	int64 at_ms;

	/* Nobody tells us when the problem has been mended, so check periodically. */
	if (probe_ms != 0 && (lane->holds_some || flex_lane_waiting(lane) > 0))
		note_opens(lanes, now_ms + HELD_MS);
	if (flex_lane_waiting(lane) == 0 || (lane->operation != NULL && flex_rate_limits_is_paused(rate_of(lane))))
		return false;
	at_ms = Max(lane->blocked_ms, probe_ms);
	if (at_ms <= now_ms)
		return true;
	note_opens(lanes, at_ms);
	return false;
}

/* Return the lanes whose requests may be sent now, apart from rate limits. */
static Lane **
open_lanes(Lanes *lanes, int *count)
{
	int all_count;
	Lane *const *all = flex_backlog_lanes(lanes->backlog, &all_count);
	Lane **open = palloc(sizeof(Lane *) * Max(all_count, 1));

	*count = 0;
	for (int i = 0; i < all_count; i++)
	{
		if (is_open(lanes, all[i]))
			open[(*count)++] = all[i];
	}
	return open;
}

/* Return true if lane a comes before lane b in the turns (see shares.c). */
static bool
is_before(const Lane *a, const Lane *b)
{
	if (a->role != b->role)
		return a->role->served < b->role->served;
	if (a->priority != b->priority)
		return a->priority > b->priority;
	if (a->account != b->account)
		return a->account->served < b->account->served;
	return a->own.served < b->own.served;
}

/* A request waits for a token.  Do not count that as waiting, for a drain, if the service accepts nothing. */
static void
note_tokens_at(Lanes *lanes, RateKey rate)
{
	TimestampTz turn_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), flex_rate_limits_wait_ms(rate));

	if (flex_rates_is_hopeless(rate, flex_settings.timeout))
		note_due(lanes, turn_at);
	else
		lanes->tokens_at = earlier(lanes->tokens_at, turn_at);
}

/*
 * Take a token for a request of a lane, and return true; if there is none, note when there will
 * be.  A mixed lane's request takes its token when it is claimed (parking.c).
 */
static bool
take_token(Lanes *lanes, const Lane *lane)
{
	if (lane->operation == NULL || flex_rate_limits_take(rate_of(lane), 1) == 1)
		return true;
	note_tokens_at(lanes, rate_of(lane));
	return false;
}

/* Return the index of the open lane whose turn it is. */
static int
next_open(Lane *const *open, int count)
{
	int best = 0;

	for (int i = 1; i < count; i++)
	{
		if (is_before(open[i], open[best]))
			best = i;
	}
	return best;
}

/* Note that a request of a lane is about to be sent: if a hold applies, it is the probe. */
static void
begin_probe(const Lane *lane)
{
	Route route;

	if (!flex_holds_any())
		return;
	route = route_of(lane);
	flex_holds_begin_probe(&route);
}

/* Choose the requests to claim, lane by lane in turns.  Return how many. */
static int
choose(Lanes *lanes, Chosen *chosen, int room)
{
	int open_count;
	Lane **open = open_lanes(lanes, &open_count);
	int count = 0;

	while (count < room && open_count > 0)
	{
		int number = next_open(open, open_count);
		Lane *lane = open[number];

		CHECK_FOR_INTERRUPTS();
		/* A request chosen from another lane may have become the probe of the same hold meanwhile. */
		if (probe_at(lanes, lane) <= flex_clock_ms() && take_token(lanes, lane))
		{
			begin_probe(lane);
			chosen[count++] = (Chosen){lane, flex_lane_take(lane)};
			lane->role->served = lane->account->served = lane->own.served = flex_backlog_take_turn(lanes->backlog);
			/* If there are no credentials for the lane, one request is enough, whose row will say why. */
			if (!lane->is_proved)
				lane->is_proved = lane->is_mixed || flex_is_sendable(&lane->identity);
			if (lane->is_proved && flex_lane_waiting(lane) > 0)
				continue;
		}
		open[number] = open[--open_count];
	}
	return count;
}

/* Note when the first request of a mixed lane that is parked for its rate limit is due. */
static void
note_parked(Lanes *lanes)
{
	int count;
	Lane *const *all = flex_backlog_lanes(lanes->backlog, &count);

	for (int i = 0; i < count; i++)
	{
		if (all[i]->waiting_later == 0 && all[i]->later_due <= all[i]->parked_until)
			lanes->tokens_at = earlier(lanes->tokens_at, Max(all[i]->later_due, 1));
	}
}

/* Decide when to look again, unless told to before. */
static void
plan_next_look(Lanes *lanes, bool is_full, bool has_got_on)
{
	int count;

	(void) open_lanes(lanes, &count);
	note_parked(lanes);
	note_due(lanes, flex_backlog_next_at(lanes->backlog));
	if ((has_got_on && (count > 0 || !lanes->is_told)) || (is_full && count > 0) ||
		flex_backlog_may_have_more(lanes->backlog))
		note_due(lanes, GetCurrentTimestamp());
}

/*
 * Claim due requests, with under_way requests in flight already.  Return the claims, in the current
 * memory context.  The requests must not be sent before the transaction has been committed to disk.
 */
Claim *
flex_lanes_claim(Lanes *lanes, int under_way, int *count)
{
	int room = (int) Min((int64) (concurrency() - under_way), lanes->requests_left);
	Chosen *chosen;
	Claim *claims;
	int chosen_count;
	int put_off_count = 0;
	bool is_idle = under_way == 0 && !is_due(lanes);

	*count = 0;
	if (lanes->requests_left == 0 || !flex_settings.delivery || room <= 0)
		return NULL;
	lanes->due_at = lanes->tokens_at = 0;
	flex_backlog_look(lanes->backlog, room, lanes->requests_left, is_idle);
	chosen = palloc(sizeof(Chosen) * room);
	claims = palloc(sizeof(Claim) * room);
	chosen_count = choose(lanes, chosen, room);
	if (chosen_count > 0)
		*count = flex_claiming_claim(lanes->backlog, chosen, chosen_count, claims, &put_off_count);
	lanes->requests_left -= *count;
	if (flex_backlog_must_write_marks(lanes->backlog, PASSED_BUSY))
		flex_backlog_write_marks(lanes->backlog, PASSED_BUSY);
	plan_next_look(lanes, chosen_count == room, chosen_count > put_off_count);
	return claims;
}

/* Return the backlog of the lanes. */
const Backlog *
flex_lanes_backlog(const Lanes *lanes)
{
	return lanes->backlog;
}

/* Return the mark of the claims: no claim of an earlier transaction is live, except in its holes. */
Mark
flex_lanes_claims_from(const Lanes *lanes)
{
	return flex_backlog_claims_from(lanes->backlog);
}

/* Return true if it is worth writing marks before the sender becomes idle. */
bool
flex_lanes_must_rest(const Lanes *lanes)
{
	return flex_backlog_must_write_marks(lanes->backlog, PASSED_IDLE);
}

/* Write the lanes' marks, because the sender becomes idle. */
void
flex_lanes_rest(Lanes *lanes)
{
	flex_backlog_write_marks(lanes->backlog, PASSED_IDLE);
}
