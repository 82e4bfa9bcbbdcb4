/*
 * division.c
 *		How senders that send side by side divide new requests among them.
 *
 * All of them read the same requests in the same order.  If each tried to lock the first ones,
 * one would get them, and the others would have looked at them for nothing.  So a sender leaves
 * those that fall to the others by their ids, for a moment (put_off.c).  Which senders there are
 * is told by the live claims, of which one that sends always has some.  It is a preference and no
 * right: senders that have not seen the same claims try to lock some of the same requests.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "delivery/division.h"

#define NEIGHBOURS 4      /* so many requests with successive ids fall to one sender */
#define SHARES_AT_ONCE 16 /* for so many senders more is read than this one wants */
#define RECENT_MS 1000    /* a sender that has claimed nothing for longer may have no room */
#define STALE_MS 1000     /* a look that is older tells nothing */

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

/* True when a sender is among others. */
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

/* Count the senders that have claims. */
static void
count_senders(Division *division, const LiveClaim *live, int count)
{
	SenderProcess own = {MyProcPid, MyStartTimestamp};
	SenderProcess *others = palloc(sizeof(SenderProcess) * Max(count, 1));
	int others_count = 0;
	TimestampTz recently = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -RECENT_MS);

	division->rank = 0;
	for (int i = 0; i < count; i++)
	{
		const SenderProcess *sender = &live[i].sender;
		bool is_known = i > 0 && live[i].claimed_in == live[i - 1].claimed_in;

		/* 0: a sender has let go of that claim. */
		if (is_known || sender->pid == 0 || live[i].claimed_at < recently || compare_senders(sender, &own) == 0 ||
			is_among(others, others_count, sender))
			continue;
		others[others_count++] = *sender;
		division->rank += compare_senders(sender, &own) < 0;
	}
	division->senders = others_count + 1;
	pfree(others);
}

/* Keep which requests senders have. */
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

/* Learn from all claims that are live which senders there are, and what they have. */
void
flex_division_note(Division *division, const LiveClaim *live, int count)
{
	count_senders(division, live, count);
	division->claimed_count = 0;
	/* One that is alone leaves nothing to others, and never asks. */
	if (division->senders > 1)
		keep_claimed(division, live, count);
	division->noted_ms = flex_clock_ms();
}

/* Among how many senders new requests are divided. */
int
flex_division_senders(const Division *division)
{
	return division->senders > 1 && flex_clock_ms() - division->noted_ms < STALE_MS ? division->senders : 1;
}

/* How many new requests of a lane are to be read, so that about as many as are wanted fall to this sender. */
int
flex_division_most(const Division *division, int want)
{
	int senders = flex_division_senders(division);

	return senders == 1 ? want : (want + NEIGHBOURS) * Min(senders, SHARES_AT_ONCE);
}

/* True when a new request falls to this sender. */
bool
flex_division_is_ours(const Division *division, int64 id)
{
	int senders = flex_division_senders(division);

	return senders == 1 || murmurhash32((uint32) (id / NEIGHBOURS)) % senders == (uint32) division->rank;
}

/* True when some sender had a request at the last look: it is that sender's, or has been settled, or taken over. */
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
