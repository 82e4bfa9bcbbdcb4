/*
 * horizon.c
 *		Which transactions have ended, so that all of their requests have been seen.
 *
 * Transactions do not end in the order of their numbers.  A reader that remembers how
 * far it has read stays before the first that is in progress; but one that takes long
 * must not hold it up, and becomes a hole: a number that the reader passes, and comes
 * back to when the transaction has ended.
 */
#include "postgres.h"

#include "base/clock.h"
#include "delivery/horizon.h"
#include "outbox/waiting_rows.h"

#define HOLE_MS 200 /* a transaction that takes longer is a hole */

static bool
has_hole(const Horizon *horizon, uint64 xid)
{
	for (int i = 0; i < horizon->holes_count; i++)
	{
		if (horizon->holes[i] == xid)
			return true;
	}
	return false;
}

/* A transaction that somebody's mark has passed: to be come back to when it ends, if it has not already. */
void
flex_horizon_add_hole(Horizon *horizon, uint64 xid)
{
	size_t size = sizeof(uint64) * (horizon->holes_count + 1);

	if (has_hole(horizon, xid))
		return;
	horizon->holes =
		horizon->holes == NULL ? MemoryContextAlloc(horizon->context, size) : repalloc(horizon->holes, size);
	horizon->holes[horizon->holes_count++] = xid;
}

/* True when a transaction had not ended at the last look; what had not begun had not ended. */
bool
flex_horizon_is_running(const Horizon *horizon, uint64 xid)
{
	if (xid >= horizon->next)
		return true;
	for (int i = 0; i < horizon->running_count; i++)
	{
		if (horizon->running[i].xid == xid)
			return true;
	}
	return false;
}

/* When it became known that a transaction is in progress: just now, if it was not known before. */
static int64
running_since(const Horizon *horizon, uint64 xid, int64 now)
{
	for (int i = 0; i < horizon->running_count; i++)
	{
		if (horizon->running[i].xid == xid)
			return horizon->running[i].since_ms;
	}
	return now;
}

static bool
is_running(const RunningTransactions *running, uint64 xid)
{
	/* Another sender's mark may name one that was not there yet when our snapshot was taken. */
	if (xid >= running->next)
		return true;
	for (int i = 0; i < running->count; i++)
	{
		if (running->xids[i] == xid)
			return true;
	}
	return false;
}

/* Keep what is in progress now, and since when. */
static void
note_running(Horizon *horizon, const RunningTransactions *now_running)
{
	int64 now = flex_clock_ms();
	RunningTransaction *running =
		MemoryContextAlloc(horizon->context, sizeof(RunningTransaction) * Max(now_running->count, 1));

	for (int i = 0; i < now_running->count; i++)
	{
		running[i].xid = now_running->xids[i];
		running[i].since_ms = running_since(horizon, running[i].xid, now);
	}
	if (horizon->running != NULL)
		pfree(horizon->running);
	horizon->running = running;
	horizon->running_count = now_running->count;
}

/* Tell the holes that have ended from those that have not. */
static void
end_holes(Horizon *horizon, const RunningTransactions *running)
{
	int left = 0;

	if (horizon->ended != NULL)
		pfree(horizon->ended);
	horizon->ended = MemoryContextAlloc(horizon->context, sizeof(uint64) * Max(horizon->holes_count, 1));
	horizon->ended_count = 0;
	for (int i = 0; i < horizon->holes_count; i++)
	{
		if (is_running(running, horizon->holes[i]))
			horizon->holes[left++] = horizon->holes[i];
		else
			horizon->ended[horizon->ended_count++] = horizon->holes[i];
	}
	horizon->holes_count = left;
}

/* See which transactions are in progress; what others have written is seen by statements that follow. */
void
flex_horizon_look(Horizon *horizon)
{
	RunningTransactions running = flex_running_transactions();
	int64 now = flex_clock_ms();

	end_holes(horizon, &running);
	note_running(horizon, &running);
	horizon->next = running.next;
	horizon->oldest = running.next;
	for (int i = 0; i < running.count; i++)
	{
		if (now - horizon->running[i].since_ms >= HOLE_MS)
			flex_horizon_add_hole(horizon, running.xids[i]);
		else if (!has_hole(horizon, running.xids[i]))
			horizon->oldest = Min(horizon->oldest, running.xids[i]);
	}
}
