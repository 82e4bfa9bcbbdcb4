/*
 * horizon.c
 *		Tracks which transactions have ended, so that their rows need not be read again.
 *
 * Transactions do not end in the order of their numbers (full transaction IDs).  A reader that
 * remembers how far it has read must not pass the first transaction in progress.  But it must
 * not wait for a long transaction, either.  So a transaction that takes longer than HOLE_MS
 * becomes a hole: the reader passes it, and reads its rows when it has ended.
 */
#include "postgres.h"

#include "base/clock.h"
#include "delivery/horizon.h"
#include "outbox/waiting_rows.h"

#define HOLE_MS 200 /* a transaction that takes at least so long becomes a hole */

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

/*
 * Add a hole, unless there is one of that transaction: a mark has passed it.  If it has ended
 * already, the next look will find that.
 */
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

/* Return true if a transaction had not ended at the last look; one that had not begun had not ended, either. */
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

/* Return when we first saw that a transaction is in progress: at the time now, unless an earlier look saw it. */
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

/* Return true if a transaction had not ended when the snapshot was taken from which running was made. */
static bool
is_running(const RunningTransactions *running, uint64 xid)
{
	/* Another sender's mark may name a transaction that began after our snapshot was taken. */
	if (xid >= running->next)
		return true;
	for (int i = 0; i < running->count; i++)
	{
		if (running->xids[i] == xid)
			return true;
	}
	return false;
}

/* Replace the list of transactions in progress, keeping for each since when we have known it. */
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

/* Move the holes whose transactions have ended from holes to ended, which is emptied before. */
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

/*
 * Bring the horizon up to date.  Statements that follow see all rows of the transactions that
 * have ended by it, because they take a later snapshot.
 */
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
		Assert(horizon->running[i].xid == running.xids[i]);
		if (now - horizon->running[i].since_ms >= HOLE_MS)
			flex_horizon_add_hole(horizon, running.xids[i]);
		else if (!has_hole(horizon, running.xids[i]))
			horizon->oldest = Min(horizon->oldest, running.xids[i]);
	}
}
