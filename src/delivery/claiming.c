/*
 * claiming.c
 *		Claims requests that were chosen, as far as they can be.
 *
 * What was chosen may have been cancelled since it was read, be another sender's, or be
 * locked by somebody.
 *
 * The caller stands in a transaction with the outbox's rights.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "delivery/accounts.h"
#include "delivery/claiming.h"
#include "delivery/parking.h"
#include "delivery/rate_limits.h"
#include "outbox/ordered_rows.h"

#define LOCKED_MS 100 /* until requests that somebody has locked are tried again */

/* A request was chosen and is not sent. */
static void
give_back(const Lane *lane)
{
	Route route;

	if (lane->operation == NULL)
		return;
	flex_rate_limits_give_back(flex_accounts_rate_key(&lane->identity, lane->operation), 1);
	if (!flex_holds_any())
		return;
	/* It may have been the one that was to find out. */
	route = flex_accounts_route(&lane->identity, lane->operation);
	flex_holds_end_probe(&route);
}

/* True when a request of a mixed lane cannot be sent now, as is seen only here: it waits in flex_outbox_later. */
static bool
must_park(const Chosen *chosen, const Claim *claim, LaterKey *parked)
{
	Lane *lane = chosen->lane;
	Parking parking;

	if (!lane->is_mixed || !flex_parking_is_needed(claim, &parking))
		return false;
	*parked = (LaterKey){lane->id,
						 parking.until,
						 chosen->candidate.id,
						 chosen->candidate.turn,
						 parking.waits_for_operator,
						 claim->held_since != 0 ? claim->held_since : GetCurrentTimestamp()};
	lane->later_from = Min(lane->later_from, parking.until);
	lane->later_due = Min(lane->later_due, parking.until);
	if (parking.is_for_rate)
		lane->parked_until = Max(lane->parked_until, parking.until);
	return true;
}

static int
compare_ids(const void *a, const void *b)
{
	int64 left = DatumGetInt64(*(const Datum *) a);
	int64 right = DatumGetInt64(*(const Datum *) b);

	return left < right ? -1 : left > right;
}

/* The ids of what was chosen, ascending. */
static Datum *
ids_of(const Chosen *chosen, int count)
{
	Datum *ids = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		ids[i] = Int64GetDatum(chosen[i].candidate.id);
	qsort(ids, count, sizeof(Datum), compare_ids);
	return ids;
}

/* Claims that are live, of which some may be of requests that were chosen. */
typedef struct Live
{
	LiveClaim *claims;
	int count;
} Live;

/* Look which requests senders have. */
static Live
read_live(const Backlog *backlog)
{
	const Mark known = flex_backlog_claims_from(backlog);
	Live live;

	live.claims = flex_claims_live(&known, &live.count);
	return live;
}

/* The same, after a look at the horizon: note what the claims tell for the next time. */
static Live
look_at_claims(Backlog *backlog)
{
	Live live = read_live(backlog);

	flex_backlog_note_claims(backlog, live.claims, live.count);
	return live;
}

/* True when some sender has a request that was to be claimed, in this turn of it or in a later one. */
static bool
is_live(const Live *live, const Claim *claim)
{
	for (int i = 0; i < live->count; i++)
	{
		const LiveClaim *other = &live->claims[i];

		if (other->request == claim->id && other->turn >= claim->turn && other->enqueued_xid == claim->enqueued_xid)
			return true;
	}
	return false;
}

/* The locked request of an id, which is taken from the others; NULL: it is not there. */
static Claim *
take_locked(Claim *locked, int count, int64 id)
{
	for (int i = 0; i < count; i++)
	{
		if (locked[i].id == id && locked[i].lane == 0)
			return &locked[i];
	}
	return NULL;
}

/* True when an id is among others. */
bool
flex_claiming_is_among(const int64 *ids, int count, int64 id)
{
	for (int i = 0; i < count; i++)
	{
		if (ids[i] == id)
			return true;
	}
	return false;
}

/* Requests with an ordering key, of those that were locked. */
typedef struct Ordered
{
	int64 *begun; /* they are the first of their keys, and go now */
	int begun_count;
	int64 *contended; /* another sender looks at their keys */
	int contended_count;
} Ordered;

/* See which of the requests with an ordering key are the first of their keys. */
static Ordered
begin_ordered(const Claim *locked, int count, const Live *live)
{
	OrderedRequest *requests = palloc(sizeof(OrderedRequest) * Max(count, 1));
	int requests_count = 0;
	Ordered ordered = {.contended = palloc(sizeof(int64) * Max(count, 1))};

	for (int i = 0; i < count; i++)
	{
		OrderedRequest request = {locked[i].role_id, locked[i].ordering_key, locked[i].id};

		if (request.key == NULL || is_live(live, &locked[i]))
			continue;
		if (flex_ordered_try_lock(&request))
			requests[requests_count++] = request;
		else
			ordered.contended[ordered.contended_count++] = request.id;
	}
	/* In a statement of its own: it sees what those have committed who had the keys before. */
	ordered.begun = flex_ordered_begin(requests, requests_count, &ordered.begun_count);
	return ordered;
}

/*
 * Somebody has locked a request that was to be claimed, or its ordering key.  True when others of its
 * lane may be tried at once.
 */
static bool
put_off(Backlog *backlog, const Chosen *chosen)
{
	if (chosen->candidate.xid != 0)
	{
		flex_backlog_put_off(backlog, chosen->lane, &chosen->candidate);
		return false;
	}
	/* It is read again then. */
	chosen->lane->later_due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOCKED_MS);
	return true;
}

/*
 * Claim what was chosen, as far as it can be claimed: it may have been cancelled, be
 * another sender's, or be locked by somebody, so that it was put_off.  Returns how many
 * requests were.
 */
int
flex_claiming_claim(Backlog *backlog, const Chosen *chosen, int count, Claim *claims, int *put_off_count)
{
	Datum *ids = ids_of(chosen, count);
	int locked_count;
	Claim *locked = flex_claims_lock(ids, count, false, &locked_count);
	int64 *unlocked = NULL;
	int unlocked_count = 0;
	Live live = look_at_claims(backlog);
	Ordered ordered = begin_ordered(locked, locked_count, &live);
	LaterKey *over = palloc(sizeof(LaterKey) * count);
	int over_count = 0;
	LaterKey *parked = palloc(sizeof(LaterKey) * count);
	int parked_count = 0;
	int claimed = 0;

	*put_off_count = 0;
	if (locked_count < count)
		unlocked = flex_claims_unlocked(ids, count, &unlocked_count);
	for (int i = 0; i < count; i++)
	{
		const Candidate *candidate = &chosen[i].candidate;
		Claim *claim = take_locked(locked, locked_count, candidate->id);
		bool is_good = claim != NULL && claim->turn == candidate->turn + 1 && !is_live(&live, claim);
		bool is_locked = claim == NULL
							 ? flex_claiming_is_among(unlocked, unlocked_count, candidate->id)
							 : flex_claiming_is_among(ordered.contended, ordered.contended_count, candidate->id);

		/* One that is not the first of its key is looked at again when the one before it has come to its end. */
		if (is_good && claim->ordering_key != NULL)
			is_good = flex_claiming_is_among(ordered.begun, ordered.begun_count, claim->id);
		if (is_good)
		{
			claim->lane = chosen[i].lane->id;
			claim->held_since = candidate->held_since;
		}
		if (is_good && must_park(&chosen[i], claim, &parked[parked_count]))
			parked_count++;
		else if (is_good)
			claims[claimed++] = *claim;
		else
			give_back(chosen[i].lane);
		if (is_locked)
			*put_off_count += put_off(backlog, &chosen[i]) ? 0 : 1;
		else if (candidate->xid == 0)
			over[over_count++] = (LaterKey){chosen[i].lane->id, candidate->due_at, candidate->id, candidate->turn};
	}
	if (claimed > 0)
		flex_claims_make(claims, claimed);
	if (over_count > 0)
		flex_later_delete(over, over_count);
	if (parked_count > 0)
		flex_later_park(parked, parked_count);
	return claimed;
}

/*
 * Claim requests that have expired, as far as no sender has them: neither their turns nor their
 * ordering keys matter.  In the current context; ids gets those that somebody has locked, or a sender
 * has, which may have looked at the time just before it came, and be about to have it wait for another.
 */
Claim *
flex_claiming_claim_expired(const Backlog *backlog, int64 *ids, int id_count, int *count, int *left_count)
{
	Datum *asked = palloc(sizeof(Datum) * Max(id_count, 1));
	int64 *unlocked;
	Claim *claims;
	Live live;
	int got;

	*count = 0;
	*left_count = 0;
	if (id_count == 0)
		return NULL;
	for (int i = 0; i < id_count; i++)
		asked[i] = Int64GetDatum(ids[i]);
	qsort(asked, id_count, sizeof(Datum), compare_ids);
	claims = flex_claims_lock(asked, id_count, true, &got);
	live = read_live(backlog);
	if (got < id_count)
	{
		int pending;

		unlocked = flex_claims_unlocked(asked, id_count, &pending);
		for (int i = 0; i < pending; i++)
		{
			if (take_locked(claims, got, unlocked[i]) == NULL)
				ids[(*left_count)++] = unlocked[i];
		}
	}
	for (int i = 0; i < got; i++)
	{
		/* A retry may have taken the time away before we had the lock. */
		if (!flex_claim_has_expired(&claims[i]))
			continue;
		if (is_live(&live, &claims[i]))
		{
			ids[(*left_count)++] = claims[i].id;
			continue;
		}
		/* Whatever the clock says from now on: its arguments are not known. */
		claims[i].is_over = true;
		claims[(*count)++] = claims[i];
	}
	if (*count > 0)
		flex_claims_make(claims, *count);
	return claims;
}
