/*
 * put_off.c
 *		New requests that a sender has read and does not claim at once.
 *
 * Another session had them locked, or they are left to other senders (division.c).  They have no
 * row in flex_outbox_later, so the mark of their lane must stay before them until they have been
 * claimed.  Each is tried again after a while, which is longer the more often it was locked.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "delivery/put_off.h"
#include "outbox/claims.h"

#define FIRST_MS 100 /* until a locked request is tried again; doubled each time */
#define LONGEST_MS 5000
#define OTHERS_MS 250    /* we try a request that was left to others after OTHERS_MS to twice OTHERS_MS */
#define MOST_OF_LANE 200 /* if a lane has so many locked requests, no more of it is read */

/* Add a request to the array. */
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

/* Put off a request that another session has locked. */
void
flex_put_off_add(PutOff *put_off, Lane *lane, const Candidate *candidate)
{
	PutOffRequest request = {.lane = lane, .candidate = *candidate};

	request.again_ms = flex_clock_ms() + Min(FIRST_MS << Min(candidate->put_off, 10), LONGEST_MS);
	request.candidate.put_off++;
	keep(put_off, &request);
	lane->put_off++;
}

/* Move those of a lane's waiting requests to put_off that are assigned to other senders. */
void
flex_put_off_leave_to_others(PutOff *put_off, const Division *division, Lane *lane)
{
	/* Rounded, so that many become due together: one statement then sees what has become of them. */
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

/* If senders have come or gone since the last call, divide anew what has been read of these lanes. */
void
flex_put_off_divide_anew(PutOff *put_off, Division *division, Lane *const *lanes, int count)
{
	if (!flex_division_take_change(division))
		return;
	for (int i = 0; i < count; i++)
		flex_put_off_leave_to_others(put_off, division, lanes[i]);
}

static int
compare_ids(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return left < right ? -1 : left > right;
}

/*
 * Return the ids of those requests that are still new and pending, ascending.  (One that has got a
 * row in flex_outbox_later since is found by that.)
 */
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

/* Add those requests to their lanes again that no sender has claimed meanwhile. */
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

/*
 * Add those requests to their lanes again that are due to be tried; if others_too, also all
 * that have been left to other senders.
 */
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

/* Return true if more requests of a lane may be read, because few enough are put off. */
bool
flex_put_off_has_room(const Lane *lane)
{
	return lane->put_off < MOST_OF_LANE;
}

/* Return the milliseconds until a request is to be tried again, or -1 if there is none. */
int64
flex_put_off_wait_ms(const PutOff *put_off)
{
	int64 again_ms = PG_INT64_MAX;

	for (int i = 0; i < put_off->count; i++)
		again_ms = Min(again_ms, put_off->requests[i].again_ms);
	return put_off->count > 0 ? Max(again_ms - flex_clock_ms(), 0) : -1;
}

/* Return the requests of a lane that are put off, as an array in the current memory context. */
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
