/*
 * put_off.c
 *		New requests that are not claimed at once.
 *
 * Somebody had them locked, or they are left to other senders (division.c).  No row tells that
 * they wait: until they have been claimed, the mark of their lane stays before them.  Each is
 * tried again after a while, the longer the more often it was locked.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "delivery/put_off.h"
#include "outbox/claims.h"

#define FIRST_MS 100 /* until the first try, each time twice as long */
#define LONGEST_MS 5000
#define OTHERS_MS 250    /* one that is left to others is tried by us after as long, and up to twice as long */
#define MOST_OF_LANE 200 /* then no more of the lane are read */

/* Keep a request that is to be tried again at a time. */
static void
keep(PutOff *put_off, const PutOffRequest *request)
{
	Assert(request->candidate.xid != 0);
	if (put_off->count == put_off->room)
	{
		put_off->room = Max(put_off->room * 2, 16);
		put_off->requests = put_off->requests == NULL
								? MemoryContextAlloc(put_off->context, sizeof(PutOffRequest) * put_off->room)
								: repalloc(put_off->requests, sizeof(PutOffRequest) * put_off->room);
	}
	put_off->requests[put_off->count++] = *request;
}

/* Put off a request that somebody has locked. */
void
flex_put_off_add(PutOff *put_off, Lane *lane, const Candidate *candidate)
{
	PutOffRequest request = {.lane = lane, .candidate = *candidate};

	request.again_ms = flex_clock_ms() + Min(FIRST_MS << Min(candidate->put_off, 10), LONGEST_MS);
	request.candidate.put_off++;
	keep(put_off, &request);
	lane->put_off++;
}

/* Leave those of a lane's requests to other senders that fall to them. */
void
flex_put_off_leave_to_others(PutOff *put_off, const Division *division, Lane *lane)
{
	/* Some at once: to see what has become of them takes a statement. */
	int64 again_ms = (flex_clock_ms() / OTHERS_MS + 2) * OTHERS_MS;
	int end = lane->waiting_first;

	if (flex_division_senders(division) == 1)
		return;
	for (int i = lane->waiting_first; i < lane->waiting_end; i++)
	{
		const Candidate *candidate = &lane->waiting[i];

		if (candidate->xid == 0 || candidate->is_anyones || flex_division_is_ours(division, candidate->id))
		{
			lane->waiting[end++] = *candidate;
			continue;
		}
		keep(put_off, &(PutOffRequest){lane, *candidate, true, again_ms});
		put_off->others_count++;
	}
	lane->waiting_end = end;
}

static int
compare_ids(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return left < right ? -1 : left > right;
}

/* Those of requests that are pending, ascending: what waits for a time since then is found by that. */
static int64 *
still_pending(const PutOffRequest *requests, int requests_count, int *count)
{
	Datum *ids = palloc(sizeof(Datum) * requests_count);
	int64 *pending;

	for (int i = 0; i < requests_count; i++)
		ids[i] = Int64GetDatum(requests[i].candidate.id);
	pending = flex_claims_unlocked(ids, requests_count, count);
	qsort(pending, *count, sizeof(int64), compare_ids);
	return pending;
}

/* Give those back to their lanes that no sender has claimed meanwhile. */
static void
give_back(const PutOffRequest *requests, int count, const Division *division)
{
	int pending_count;
	int64 *pending = still_pending(requests, count, &pending_count);

	for (int i = 0; i < count; i++)
	{
		Candidate candidate = requests[i].candidate;

		candidate.is_anyones = true;
		if (bsearch(&candidate.id, pending, pending_count, sizeof(int64), compare_ids) != NULL &&
			!flex_division_is_claimed(division, candidate.id, candidate.xid))
			flex_lane_add(requests[i].lane, &candidate);
	}
}

/* Give those back to their lanes whose time is over; others_too: and all that have been left to other senders. */
void
flex_put_off_try_again(PutOff *put_off, const Division *division, bool others_too)
{
	int64 now = flex_clock_ms();
	PutOffRequest *due = palloc(sizeof(PutOffRequest) * Max(put_off->count, 1));
	int due_count = 0;
	int left = 0;

	for (int i = 0; i < put_off->count; i++)
	{
		PutOffRequest *request = &put_off->requests[i];

		if (request->again_ms > now && !(others_too && request->is_others))
		{
			put_off->requests[left++] = *request;
			continue;
		}
		due[due_count++] = *request;
		if (request->is_others)
			put_off->others_count--;
		else
			request->lane->put_off--;
	}
	put_off->count = left;
	if (due_count > 0)
		give_back(due, due_count, division);
	pfree(due);
}

/* True when not so many of a lane are put off that no more of it should be read. */
bool
flex_put_off_has_room(const Lane *lane)
{
	return lane->put_off < MOST_OF_LANE;
}

/* Milliseconds until one is to be tried again, or -1. */
int64
flex_put_off_wait_ms(const PutOff *put_off)
{
	int64 again_ms = PG_INT64_MAX;

	for (int i = 0; i < put_off->count; i++)
		again_ms = Min(again_ms, put_off->requests[i].again_ms);
	return put_off->count > 0 ? Max(again_ms - flex_clock_ms(), 0) : -1;
}

/* The requests of a lane that were put off, in the current context. */
Candidate *
flex_put_off_of_lane(const PutOff *put_off, const Lane *lane, int *count)
{
	Candidate *candidates = palloc(sizeof(Candidate) * Max(put_off->count, 1));

	*count = 0;
	for (int i = 0; i < put_off->count; i++)
	{
		if (put_off->requests[i].lane == lane)
			candidates[(*count)++] = put_off->requests[i].candidate;
	}
	return candidates;
}
