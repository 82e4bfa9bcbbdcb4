/*
 * claiming.c
 *		Claims requests that were chosen to be sent, as far as possible.
 *
 * A chosen request may have been cancelled since it was read, another sender may have claimed
 * it, or another session may have locked it.
 *
 * The caller must be in a transaction with the outbox's rights.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "delivery/accounts.h"
#include "delivery/claiming.h"
#include "delivery/parking.h"
#include "delivery/rate_limits.h"
#include "outbox/ordered_rows.h"

#define LOCKED_MS 100 /* until a request that another session has locked is tried again */

/* A chosen request of a lane is not sent: give its token back, and end the probe if it was one. */
static void
give_back(const Lane *lane)
{
	Route route;

	if (lane->operation == NULL)
		return;
	flex_rate_limits_give_back(flex_accounts_rate_key(&lane->identity, lane->operation), 1);
	if (!flex_holds_any())
		return;
	/* It may have been the probe. */
	route = flex_accounts_route(&lane->identity, lane->operation);
	flex_holds_end_probe(&route);
}

/* Return true if a request of a mixed lane cannot be sent now; *parked is its row for flex_outbox_later then. */
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

/* Return the ids of the chosen requests, ascending. */
static Datum *
ids_of(const Chosen *chosen, int count)
{
	Datum *ids = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		ids[i] = Int64GetDatum(chosen[i].candidate.id);
	qsort(ids, count, sizeof(Datum), compare_ids);
	return ids;
}

/* All live claims.  Some may be of requests that were chosen. */
typedef struct Live
{
	LiveClaim *claims;
	int count;
} Live;

/* Read the live claims, with a new snapshot. */
static Live
read_live(const Backlog *backlog)
{
	const Mark known = flex_backlog_claims_from(backlog);
	Live live;

	live.claims = flex_claims_live(&known, &live.count);
	return live;
}

/* Do the same, and pass the claims to the backlog, whose horizon must be up to date. */
static Live
look_at_claims(Backlog *backlog)
{
	Live live = read_live(backlog);

	flex_backlog_note_claims(backlog, live.claims, live.count);
	return live;
}

/* Return true if a request has been claimed by some sender, for this turn or a later one. */
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

/*
 * Return true if a locked request is the one that was chosen, in the same turn.  A later request has the
 * same id if the table was truncated with RESTART IDENTITY meanwhile, and may have to wait for its time.
 */
static bool
is_chosen(const Claim *claim, const Candidate *candidate)
{
	return claim->turn == candidate->turn + 1 && (candidate->xid == 0 || candidate->xid == claim->enqueued_xid);
}

/* Return the locked request with an id, unless it has been assigned to a lane already; or NULL. */
static Claim *
find_locked(Claim *locked, int count, int64 id)
{
	for (int i = 0; i < count; i++)
	{
		if (locked[i].id == id && locked[i].lane == 0)
			return &locked[i];
	}
	return NULL;
}

/* Return true if an id is in an array. */
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

/* The ids of those locked requests that have an ordering key. */
typedef struct Ordered
{
	int64 *begun; /* the first of their keys: to be claimed */
	int begun_count;
	int64 *contended; /* another sender has locked their keys */
	int contended_count;
} Ordered;

/* Lock the ordering keys of requests, and find those that are the first of their keys. */
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
	/* A new statement has a new snapshot, which shows what earlier holders of the locks have committed. */
	ordered.begun = flex_ordered_begin(requests, requests_count, &ordered.begun_count);
	return ordered;
}

/*
 * Plan another try for a request that could not be claimed because it, or its ordering key, was
 * locked.  Return true if others of its lane may be tried at once.
 */
static bool
put_off(Backlog *backlog, const Chosen *chosen)
{
	if (chosen->candidate.xid != 0)
	{
		flex_backlog_put_off(backlog, chosen->lane, &chosen->candidate);
		return false;
	}
	/* A request that waited for a time keeps its row in flex_outbox_later, by which it is read again. */
	chosen->lane->later_due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOCKED_MS);
	return true;
}

/*
 * Claim the chosen requests, as far as possible.  Return the number of claims, which are stored
 * in claims[]; set *put_off_count to the number of requests that were locked and put off.
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
		Claim *claim = find_locked(locked, locked_count, candidate->id);
		bool is_good = claim != NULL && is_chosen(claim, candidate) && !is_live(&live, claim);
		bool is_locked = claim == NULL
							 ? flex_claiming_is_among(unlocked, unlocked_count, candidate->id)
							 : flex_claiming_is_among(ordered.contended, ordered.contended_count, candidate->id);

		/* A request that is not the first of its key is found again when the one before it has ended. */
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
 * Claim requests that have expired and are not claimed, whatever their turns and ordering keys.
 * Return the claims, in the current memory context, and their number in *count.  ids[] and
 * *left_count receive the requests that were left because they are locked or claimed: their
 * senders may have read the clock just before they expired, and may make them pending again.
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
			if (find_locked(claims, got, unlocked[i]) == NULL)
				ids[(*left_count)++] = unlocked[i];
		}
	}
	for (int i = 0; i < got; i++)
	{
		/* flex_outbox_retry() may have removed expires_at before we had the lock. */
		if (!flex_claim_has_expired(&claims[i]))
			continue;
		if (is_live(&live, &claims[i]))
		{
			ids[(*left_count)++] = claims[i].id;
			continue;
		}
		/* It must be settled as expired even if the clock is set back, because its arguments have not been read. */
		claims[i].is_over = true;
		claims[(*count)++] = claims[i];
	}
	if (*count > 0)
		flex_claims_make(claims, *count);
	return claims;
}
