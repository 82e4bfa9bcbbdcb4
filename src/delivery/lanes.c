/*
 * lanes.c
 *		Which of the outbox's requests are sent next, and when.
 *
 * A lane is what waits of one role, server, account, operation and priority.  As long as there
 * is room, they take turns (shares.c), each for one request, as far as the rates allow;
 * what has been chosen so is then claimed, all at once.
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

#define PROBE_MS 5000   /* until one request is tried of a lane that an operator has to mend something for */
#define HELD_MS 1000    /* between two looks whether what is in the way of requests is still the same */
#define PASSED_BUSY 500 /* requests of a lane, before its mark is written */
#define PASSED_IDLE 20  /* the same, when there is nothing to do */

struct Lanes
{
	int64 requests_left;   /* that may still be claimed */
	TimestampTz due_at;    /* of the next request; 0: there is none */
	TimestampTz tokens_at; /* when the rate allows a request that is due; 0: none waits for it */
	bool is_told;          /* of new requests; else they are found by looking again */
	Backlog *backlog;
};

/* Lanes from which so many requests may be claimed, in the current context; is_told: their sender is woken for new ones. */
Lanes *
flex_lanes_create(int64 max_requests, bool is_told)
{
	Lanes *lanes = palloc0(sizeof(Lanes));

	*lanes = (Lanes){.requests_left = max_requests, .is_told = is_told, .backlog = flex_backlog_create()};
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

/* There may be something to claim; at_once: also of what waits for a time, which else is looked at now and then. */
void
flex_lanes_look_now(Lanes *lanes, bool at_once)
{
	flex_backlog_expect_later(lanes->backlog, at_once);
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
	flex_backlog_forget(lanes->backlog);
}

/* Requests of a lane have met what is to be mended; those of a custom one meet it again, for all that is known. */
static void
note_held(Lanes *lanes, int lane_id)
{
	Lane *lane = flex_backlog_lane(lanes->backlog, lane_id);

	if (lane == NULL || lane->operation == NULL)
		return;
	lane->holds_some = true;
	lane->held_ms = flex_clock_ms() + (lane->operation->custom ? PROBE_MS : HELD_MS);
}

/* What this process has just settled so that it waits for a time is to be claimed then. */
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
		/* It may not be for us to send what is next. */
		if (lanes->requests_left == 0)
			flex_registry_wake(MyDatabaseId);
	}
	/* There may be more of them than are told. */
	if (count == LATER_KEPT)
		flex_lanes_look_now(lanes, true);
}

/* A request that was claimed is not sent. */
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
 * A request of a lane could be made or, is_blocked, could not for a reason that is an
 * operator's to mend, and holds for all of the lane: they take no turns, but for one
 * that is tried now and then.
 */
void
flex_lanes_note_block(Lanes *lanes, int lane_id, bool is_blocked)
{
	Lane *lane = flex_backlog_lane(lanes->backlog, lane_id);

	if (lane == NULL)
		return;
	/* What is wrong may be wrong with that one alone, and is, for all we know, where they have different accounts. */
	is_blocked = is_blocked && !lane->is_mixed && !flex_is_sendable(&lane->identity);
	lane->must_release |= !is_blocked && lane->blocked_ms != 0;
	lane->is_proved = !is_blocked;
	lane->blocked_ms = is_blocked ? flex_clock_ms() + PROBE_MS : 0;
}

/* An operator may have mended something: no lane is blocked any more, for all we know. */
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

/* True when requests are due, for all we know. */
static bool
is_due(const Lanes *lanes)
{
	TimestampTz next_at = earlier(lanes->due_at, lanes->tokens_at);

	return next_at != 0 && next_at <= GetCurrentTimestamp();
}

/* True when a look may find requests to be claimed, for all that is known. */
bool
flex_lanes_may_have_some(const Lanes *lanes, int under_way)
{
	return is_due(lanes) || (under_way == 0 && flex_backlog_leaves_some(lanes->backlog));
}

/* True when requests are due and it is worth claiming some. */
bool
flex_lanes_may_claim(const Lanes *lanes, int under_way)
{
	return flex_settings.delivery && lanes->requests_left > 0 && (under_way == 0 || !flex_lanes_is_full(under_way)) &&
		   flex_lanes_may_have_some(lanes, under_way);
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

/* Whose rate a lane's requests take, of an operation that there is. */
static RateKey
rate_of(const Lane *lane)
{
	Assert(lane->operation != NULL);
	return flex_accounts_rate_key(&lane->identity, lane->operation);
}

/* The route of a lane's requests; zeros: not known. */
static Route
route_of(const Lane *lane)
{
	return lane->operation != NULL ? flex_accounts_route(&lane->identity, lane->operation) : (Route){0};
}

/*
 * When something that is in the way of a lane's requests lets one through that finds out, by
 * flex_clock_ms(); 0: nothing is.  Those that have met it are due when it is gone, or another.
 */
static int64
probe_at(Lanes *lanes, Lane *lane)
{
	Route route;
	int64 at_ms;

	if (!lane->holds_some && !flex_holds_any())
		return 0;
	/* They may have been cancelled. */
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

/* A lane may be open at a time of flex_clock_ms(). */
static void
note_opens(Lanes *lanes, int64 at_ms)
{
	note_due(lanes, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), at_ms - flex_clock_ms()));
}

/* True when requests of a lane may be sent now, for all but the rate; otherwise it is noted when. */
static bool
is_open(Lanes *lanes, Lane *lane)
{
	int64 now_ms = flex_clock_ms();
	int64 probe_ms = probe_at(lanes, lane);
	int64 at_ms;

	/* An operator tells nobody. */
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

/* The lanes whose requests may be sent now. */
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

/* True when it is lane a's turn before lane b's. */
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

/* A request waits for its turn; but a drain does not wait for a service that lets nothing through. */
static void
note_turn(Lanes *lanes, RateKey rate)
{
	TimestampTz turn_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), flex_rate_limits_wait_ms(rate));

	if (flex_rates_is_hopeless(rate, flex_settings.timeout))
		note_due(lanes, turn_at);
	else
		lanes->tokens_at = earlier(lanes->tokens_at, turn_at);
}

/*
 * Take the token for a request of a lane; where there is none, note when there is.  Whose
 * token a mixed lane's request needs is seen when that is claimed.
 */
static bool
take_token(Lanes *lanes, const Lane *lane)
{
	if (lane->operation == NULL || flex_rate_limits_take(rate_of(lane), 1) == 1)
		return true;
	note_turn(lanes, rate_of(lane));
	return false;
}

/* The number of the open lane whose turn it is. */
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

/* A request of a lane is sent: where something is in the way, it finds out whether it still is. */
static void
begin_probe(const Lane *lane)
{
	Route route;

	if (!flex_holds_any())
		return;
	route = route_of(lane);
	flex_holds_begin_probe(&route);
}

/* Choose the requests that are claimed next, in turns; returns how many. */
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
		/* Another lane's request finds it out. */
		if (probe_at(lanes, lane) <= flex_clock_ms() && take_token(lanes, lane))
		{
			begin_probe(lane);
			chosen[count++] = (Chosen){lane, flex_lane_take(lane)};
			lane->role->served = lane->account->served = lane->own.served = flex_backlog_take_turn(lanes->backlog);
			/* Of one that cannot be sent, one is enough, whose row says why. */
			if (!lane->is_proved)
				lane->is_proved = lane->is_mixed || flex_is_sendable(&lane->identity);
			if (lane->is_proved && flex_lane_waiting(lane) > 0)
				continue;
		}
		open[number] = open[--open_count];
	}
	return count;
}

/* Note when a request of a mixed lane is due that waits for its rate. */
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

/* When to look again, if nobody tells us to before. */
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
 * Claim what is due, as long as there is room beside what is under way.  Returns the
 * claims, in the current context; they may be sent after a commit, to disk.
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
	flex_backlog_look(lanes->backlog, room, is_idle);
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

/* What waits in the lanes. */
const Backlog *
flex_lanes_backlog(const Lanes *lanes)
{
	return lanes->backlog;
}

/* The transaction before which nothing has been claimed that is not settled, but for its holes, for all we know. */
Mark
flex_lanes_claims_from(const Lanes *lanes)
{
	return flex_backlog_claims_from(lanes->backlog);
}

/* True when marks are worth being written before there is nothing to do for a while. */
bool
flex_lanes_must_rest(const Lanes *lanes)
{
	return flex_backlog_must_write_marks(lanes->backlog, PASSED_IDLE);
}

/* Write how far the lanes have been read: there is nothing to do for a while. */
void
flex_lanes_rest(Lanes *lanes)
{
	flex_backlog_write_marks(lanes->backlog, PASSED_IDLE);
}
