/*
 * put_off.c
 *		New requests that somebody had locked when they were to be claimed.
 *
 * No row tells that they wait: until they have been claimed, the mark of their lane stays
 * before them.  Each is tried again after a while, the longer the more often it was locked.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "delivery/put_off.h"

#define FIRST_MS 100 /* until the first try, each time twice as long */
#define LONGEST_MS 5000
#define MOST_OF_LANE 200 /* then no more of the lane are read */

/* Put a request off. */
void
flex_put_off_add(PutOff *put_off, Lane *lane, const Candidate *candidate)
{
	PutOffRequest *request;

	Assert(candidate->xid != 0);
	if (put_off->count == put_off->room)
	{
		put_off->room = Max(put_off->room * 2, 16);
		put_off->requests = put_off->requests == NULL
								? MemoryContextAlloc(put_off->context, sizeof(PutOffRequest) * put_off->room)
								: repalloc(put_off->requests, sizeof(PutOffRequest) * put_off->room);
	}
	request = &put_off->requests[put_off->count++];
	*request = (PutOffRequest){.lane = lane, .candidate = *candidate, .again_ms = flex_clock_ms()};
	request->again_ms += Min(FIRST_MS << Min(candidate->put_off, 10), LONGEST_MS);
	request->candidate.put_off++;
	lane->put_off++;
}

/* Give those whose time is over back to their lanes. */
void
flex_put_off_try_again(PutOff *put_off)
{
	int64 now = flex_clock_ms();
	int left = 0;

	for (int i = 0; i < put_off->count; i++)
	{
		PutOffRequest *request = &put_off->requests[i];

		if (request->again_ms > now)
		{
			put_off->requests[left++] = *request;
			continue;
		}
		flex_lane_add(request->lane, &request->candidate);
		request->lane->put_off--;
	}
	put_off->count = left;
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
