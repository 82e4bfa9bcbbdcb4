/*
 * division.c
 *		Divides new requests among senders that run at the same time.
 *
 * All senders read the same requests in the same order.  If each tried to lock the first ones,
 * one would succeed, and the others would have read them in vain.  So each request is assigned
 * to a sender by its id, and the others leave it to that sender for a moment (put_off.c).  Which
 * senders there are is derived from the live claims, since a busy sender always has some.  This
 * is only a preference: senders that have seen different claims may try to lock the same requests.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "delivery/division.h"

#define NEIGHBOURS 4      /* so many requests with successive ids are assigned to the same sender */
#define SHARES_AT_ONCE 16 /* read at most so many times as many requests as wanted, however many senders there are */
#define RECENT_MS 1000    /* a sender that has claimed nothing for longer may be busy with what it has */
#define STALE_MS 1000     /* the list of senders is not used for longer */

static int
compare_senders(const SenderProcess *a, const SenderProcess *b)
{
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->pid - b->pid;
}

static int
compare_claimed(const void *a, const void *b)
{
	const ClaimedRequest *left = a;
	const ClaimedRequest *right = b;

	return left->id < right->id ? -1 : left->id > right->id;
}

/* Return true if a sender is in an array. */
static bool
is_among(const SenderProcess *senders, int count, const SenderProcess *sender)
{
	for (int i = 0; i < count; i++)
	{
		if (compare_senders(&senders[i], sender) == 0)
			return true;
	}
	return false;
}

/* Determine the number of senders that have recent claims, and our rank among them. */
static void
count_senders(Division *division, const LiveClaim *live, int count)
{
	SenderProcess own = {MyProcPid, MyStartTimestamp};
	SenderProcess *others = palloc(sizeof(SenderProcess) * Max(count, 1));
	int others_count = 0;
	TimestampTz recently = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -RECENT_MS);
	int rank = 0;

	for (int i = 0; i < count; i++)
	{
		const SenderProcess *sender = &live[i].sender;
		bool is_known = i > 0 && live[i].claimed_in == live[i - 1].claimed_in;

		/* A PID of 0 means that the claim has been released by its sender. */
		if (is_known || sender->pid == 0 || live[i].claimed_at < recently || compare_senders(sender, &own) == 0 ||
			is_among(others, others_count, sender))
			continue;
		others[others_count++] = *sender;
		rank += compare_senders(sender, &own) < 0;
	}
	division->has_changed |= division->senders != others_count + 1 || division->rank != rank;
	division->senders = others_count + 1;
	division->rank = rank;
	pfree(others);
}

/* Remember which requests are claimed. */
static void
keep_claimed(Division *division, const LiveClaim *live, int count)
{
	if (count > division->claimed_room)
	{
		if (division->claimed != NULL)
			pfree(division->claimed);
		division->claimed_room = count * 2;
		division->claimed = MemoryContextAlloc(division->context, sizeof(ClaimedRequest) * division->claimed_room);
	}
	for (int i = 0; i < count; i++)
		division->claimed[i] = (ClaimedRequest){live[i].request, live[i].enqueued_xid};
	division->claimed_count = count;
	qsort(division->claimed, count, sizeof(ClaimedRequest), compare_claimed);
}

/* Derive from all live claims which senders there are, and which requests they have claimed. */
void
flex_division_note(Division *division, const LiveClaim *live, int count)
{
	count_senders(division, live, count);
	division->claimed_count = 0;
	/* A sender that is alone leaves nothing to others, so it never asks flex_division_is_claimed(). */
	if (division->senders > 1)
		keep_claimed(division, live, count);
	division->noted_ms = flex_clock_ms();
}

/* Return the number of senders among which new requests are divided. */
int
flex_division_senders(const Division *division)
{
	return division->senders > 1 && flex_clock_ms() - division->noted_ms < STALE_MS ? division->senders : 1;
}

/* Return true if it is known that no other sender has recent claims. */
bool
flex_division_is_alone(const Division *division)
{
	return division->senders == 1 && flex_clock_ms() - division->noted_ms < STALE_MS;
}

/* Return true if requests are assigned otherwise than when this function was called last. */
bool
flex_division_take_change(Division *division)
{
	bool has_changed = division->has_changed;

	division->has_changed = false;
	return has_changed;
}

/* Return how many new requests of a lane to read so that about as many as wanted are assigned to this sender. */
int
flex_division_most(const Division *division, int want)
{
	int senders = flex_division_senders(division);

	return senders == 1 ? want : (want + NEIGHBOURS) * Min(senders, SHARES_AT_ONCE);
}

/* Return true if a new request is assigned to this sender. */
bool
flex_division_is_ours(const Division *division, int64 id)
{
	int senders = flex_division_senders(division);

	return senders == 1 || murmurhash32((uint32) (id / NEIGHBOURS)) % senders == (uint32) division->rank;
}

/*
 * Return true if a request was claimed at the last look.  It still is, or it has been settled
 * or taken over since.
 */
bool
flex_division_is_claimed(const Division *division, int64 id, uint64 enqueued_xid)
{
	const ClaimedRequest wanted = {.id = id};
	const ClaimedRequest *found;

	if (division->claimed_count == 0)
		return false;
	found = bsearch(&wanted, division->claimed, division->claimed_count, sizeof(ClaimedRequest), compare_claimed);
	return found != NULL && found->enqueued_xid == enqueued_xid;
}
