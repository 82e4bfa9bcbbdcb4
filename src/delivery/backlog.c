/*
 * backlog.c
 *		The waiting requests of all lanes of the outbox, as far as a sender has read them.
 *
 * One look reads many lanes together: new requests, those of long transactions that have ended,
 * and those that waited for a time and are due.  How far a lane has been read is written from
 * time to time (flex_outbox_marks), for the next sender.  After an error all this is forgotten
 * and read again, because the requests that were taken from it may be pending again.
 *
 * The caller must be in a transaction with the outbox's rights.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "delivery/backlog.h"
#include "delivery/put_off.h"
#include "outbox/access.h"
#include "outbox/ordered_rows.h"

#define LANES_AT_ONCE 500     /* number of lanes of which one look reads new requests */
#define READ_AHEAD 200        /* read at least so many new requests, if there are so many and they may be claimed */
#define LOOK_BACK_MS 1000     /* between two looks for rows that were due before the position that has been read */
#define LOOK_BACK_BY_MS 10000 /* how far such a look goes back, if reading from the beginning would cost too much */
#define LOOK_ALL_SHARE 100    /* at most one part in so many of the time is spent with reading from the beginning */
#define MOST_LOOK_ALL_MS 30000

struct Backlog
{
	MemoryContext context;
	Oid table; /* flex_outbox_table() from which this was read; InvalidOid if nothing has been read */
	Oid file;  /* flex_outbox_file() then */

	LaneList list;
	int lanes_next; /* index of the lane with which the next look begins */
	int unvisited;  /* number of lanes that have not been read since we were told to look */
	Horizon horizon;

	Division division;
	PutOff put_off;

	uint64 claims_from; /* no live claim is of an earlier transaction, except the horizon's holes; 0 if unknown */
	int claims_noted;   /* how often claims_from has been determined since it was written */

	TimestampTz freed_from; /* no row of flex_outbox_freed_keys is older, as far as known */
	bool has_freed;         /* there may be such rows */

	bool must_look_back; /* others may have inserted rows of flex_outbox_later that were due before later_from */
	int64 looked_back_at;
	bool must_look_all; /* the same, however long before */
	int64 look_all_at;  /* flex_clock_ms() before which reading from the beginning costs too much */
	bool looks_at_all;  /* the present look reads from the beginning */
};

/* Forget all that has been read. */
void
flex_backlog_forget(Backlog *backlog)
{
	MemoryContext context = backlog->context;

	MemoryContextReset(context);
	memset(backlog, 0, sizeof(Backlog));
	backlog->context = context;
	backlog->list.context = context;
	backlog->list.shares.context = context;
	backlog->horizon.context = context;
	backlog->division.context = context;
	backlog->put_off.context = context;
	backlog->has_freed = true;
}

/* Create an empty backlog in the current memory context. */
Backlog *
flex_backlog_create(void)
{
	Backlog *backlog = palloc0(sizeof(Backlog));

	backlog->context = AllocSetContextCreate(CurrentMemoryContext, "flex_api backlog", ALLOCSET_DEFAULT_SIZES);
	flex_backlog_forget(backlog);
	return backlog;
}

/* Others may have inserted rows of flex_outbox_later that are due already: look for them, after a while or at_once. */
void
flex_backlog_expect_later(Backlog *backlog, bool at_once)
{
	if (at_once)
		backlog->looked_back_at = 0;
	if (at_once && backlog->look_all_at - flex_clock_ms() < LOOK_BACK_MS)
		backlog->look_all_at = 0;
	backlog->must_look_back = true;
	backlog->must_look_all = true;
	backlog->unvisited = backlog->list.count;
}

/* Note that a lane has got a row in flex_outbox_later with this time. */
void
flex_backlog_note_later(Backlog *backlog, int lane_id, TimestampTz due_at)
{
	Lane *lane = flex_lane_list_find(&backlog->list, lane_id);

	if (lane == NULL)
		return;
	lane->later_from = Min(lane->later_from, due_at);
	lane->later_due = Min(lane->later_due, due_at);
}

/* Note that there may be new rows of flex_outbox_freed_keys, inserted by this or another process. */
void
flex_backlog_expect_freed(Backlog *backlog)
{
	backlog->has_freed = true;
}

/* Put off a new request that was to be claimed and is locked by another session. */
void
flex_backlog_put_off(Backlog *backlog, Lane *lane, const Candidate *candidate)
{
	flex_put_off_add(&backlog->put_off, lane, candidate);
}

/* To which lane a stretch belongs that is to be read. */
typedef struct Asked
{
	Lane *lane;
	int hole; /* index of the lane's hole, or -1 */
} Asked;

/* Collect the stretches to read of a lane and of its holes.  Return how many. */
static int
ask_of_lane(const Backlog *backlog, Lane *lane, int want, Stretch *stretches, Asked *asked)
{
	int count = 0;

	stretches[count] = flex_lane_stretch(lane, &backlog->horizon, want);
	asked[count++] = (Asked){lane, -1};
	for (int i = 0; i < lane->holes_count; i++)
	{
		stretches[count] = flex_lane_hole_stretch(lane, i, want);
		asked[count++] = (Asked){lane, i};
	}
	return count;
}

/* Return the maximum number of stretches in a look at so many lanes. */
static int
most_stretches(const Backlog *backlog, int lanes)
{
	int count = 0;

	for (int i = 0; i < lanes; i++)
		count += 1 + backlog->list.lanes[(backlog->lanes_next + i) % backlog->list.count]->holes_count;
	return count;
}

/* Pass the rows that have been read to their lanes. */
static void
take_fresh(Backlog *backlog, const Asked *asked, int asked_count, int want, const FreshRow *rows, int rows_count)
{
	int first = 0;

	for (int i = 0; i < asked_count; i++)
	{
		int count = 0;

		CHECK_FOR_INTERRUPTS();
		while (first + count < rows_count && rows[first + count].stretch == i)
			count++;
		if (asked[i].hole < 0)
			flex_lane_read(asked[i].lane, &backlog->horizon, want, rows + first, count);
		else
			flex_lane_read_hole(asked[i].lane, asked[i].hole, want, rows + first, count);
		first += count;
	}
	Assert(first == rows_count);
	for (int i = 0; i < asked_count; i++)
	{
		flex_lane_close_holes(asked[i].lane);
		flex_put_off_leave_to_others(&backlog->put_off, &backlog->division, asked[i].lane);
	}
}

/*
 * Read new requests of the next LANES_AT_ONCE lanes, if fewer than wanted are known of a lane.  Most of a small
 * look's cost does not depend on the number of rows, so a sender that is alone reads more of a few lanes.
 */
static void
read_fresh(Backlog *backlog, int want, int64 most_ever)
{
	int lanes = Min(backlog->list.count, LANES_AT_ONCE);
	int ahead = flex_division_is_alone(&backlog->division) ? (int) Min(READ_AHEAD / Max(lanes, 1), most_ever) : 0;
	/* Part of what is read is left to other senders. */
	int most = flex_division_most(&backlog->division, Max(want, ahead));
	Stretch *stretches = palloc(sizeof(Stretch) * Max(most_stretches(backlog, lanes), 1));
	Asked *asked = palloc(sizeof(Asked) * Max(most_stretches(backlog, lanes), 1));
	int asked_count = 0;
	FreshRow *rows;
	int rows_count;

	for (int i = 0; i < lanes; i++)
	{
		Lane *lane = backlog->list.lanes[(backlog->lanes_next + i) % backlog->list.count];

		if (flex_lane_waiting(lane) < want && flex_put_off_has_room(lane))
			asked_count += ask_of_lane(backlog, lane, most, stretches + asked_count, asked + asked_count);
	}
	backlog->unvisited = Max(backlog->unvisited - lanes, 0);
	if (lanes > 0)
		backlog->lanes_next = (backlog->lanes_next + lanes) % backlog->list.count;
	if (asked_count == 0)
		return;
	rows = flex_fresh_rows(stretches, asked_count, &rows_count);
	take_fresh(backlog, asked, asked_count, most, rows, rows_count);
}

/*
 * Have rows of flex_outbox_later read again that were due before the position that has been
 * read, since transactions that commit late insert such rows.  An old snapshot may keep very many
 * dead rows at the beginning; then reading from there is done less often than going back by
 * LOOK_BACK_BY_MS.
 */
static void
look_back(Backlog *backlog)
{
	int64 now = flex_clock_ms();
	bool all = backlog->must_look_all && now >= backlog->look_all_at;

	if (backlog->must_look_back ? backlog->looked_back_at != 0 && now - backlog->looked_back_at < LOOK_BACK_MS : !all)
		return;
	for (int i = 0; i < backlog->list.count; i++)
	{
		Lane *lane = backlog->list.lanes[i];

		lane->later_due = DT_NOBEGIN;
		if (all)
			lane->later_from = DT_NOBEGIN;
		else if (lane->later_from != DT_NOBEGIN)
			lane->later_from = TimestampTzPlusMilliseconds(lane->later_from, -LOOK_BACK_BY_MS);
	}
	backlog->looks_at_all = all;
	backlog->must_look_all &= !all;
	backlog->freed_from = DT_NOBEGIN;
	backlog->has_freed = true;
	backlog->must_look_back = false;
	backlog->looked_back_at = now;
}

/* For ordering keys of which a request has ended, make the next request due. */
static void
wake_ordered(Backlog *backlog)
{
	WokenKeys woken;

	if (!backlog->has_freed)
		return;
	woken = flex_ordered_wake(backlog->freed_from);
	if (woken.last_at != 0)
		backlog->freed_from = woken.last_at;
	backlog->has_freed = woken.may_be_more;
	for (int i = 0; i < woken.count; i++)
		flex_backlog_note_later(backlog, woken.requests[i].lane, woken.requests[i].due_at);
}

/* Read the rows of flex_outbox_later that are due. */
static void
read_later(Backlog *backlog, int want)
{
	TimestampTz now = GetCurrentTimestamp();
	LaterStretch *stretches = palloc(sizeof(LaterStretch) * Max(backlog->list.count, 1));
	Lane **asked = palloc(sizeof(Lane *) * Max(backlog->list.count, 1));
	int asked_count = 0;
	int64 begun_at = flex_clock_ms();
	LaterRow *rows;
	int rows_count;
	int first = 0;

	for (int i = 0; i < backlog->list.count; i++)
	{
		Lane *lane = backlog->list.lanes[i];

		if (lane->later_due > now || lane->waiting_later > 0)
			continue;
		stretches[asked_count] = (LaterStretch){lane->id, lane->later_from, want};
		asked[asked_count++] = lane;
	}
	if (asked_count == 0)
		return;
	rows = flex_later_rows(stretches, asked_count, now, &rows_count);
	if (backlog->looks_at_all)
		backlog->look_all_at = flex_clock_ms() + Min((flex_clock_ms() - begun_at) * LOOK_ALL_SHARE, MOST_LOOK_ALL_MS);
	backlog->looks_at_all = false;
	for (int i = 0; i < asked_count; i++)
	{
		int count = 0;

		CHECK_FOR_INTERRUPTS();
		while (first + count < rows_count && rows[first + count].stretch == i)
			count++;
		flex_lane_read_later(asked[i], want, now, rows + first, count);
		first += count;
	}
}

/* Read the mark of the claims, unless claims_from is known. */
static void
learn_claims_from(Backlog *backlog)
{
	Mark mark;

	if (backlog->claims_from != 0)
		return;
	mark = flex_claims_read_mark();
	backlog->claims_from = mark.at.xid;
	for (int i = 0; i < mark.holes_count; i++)
	{
		if (flex_horizon_is_running(&backlog->horizon, mark.holes[i]))
			flex_horizon_add_hole(&backlog->horizon, mark.holes[i]);
		else
			backlog->claims_from = Min(backlog->claims_from, mark.holes[i]);
	}
}

/*
 * Read what waits, so that if possible "want" requests of each lane are known.  The sender may claim up to
 * most_ever requests in this and later looks.  is_idle tells that nothing is in flight and nothing else is
 * due, so requests left to other senders are taken, too.
 */
void
flex_backlog_look(Backlog *backlog, int want, int64 most_ever, bool is_idle)
{
	/* Not at any DDL, or we would read everything too often.  After a TRUNCATE, later requests may have the same ids. */
	if (backlog->table != flex_outbox_table() || backlog->file != flex_outbox_file())
		flex_backlog_forget(backlog);
	backlog->table = flex_outbox_table();
	backlog->file = flex_outbox_file();
	/* The horizon first: statements that follow then see all rows of transactions that have ended by it. */
	flex_horizon_look(&backlog->horizon);
	flex_lane_list_read(&backlog->list, &backlog->horizon);
	for (int i = 0; i < backlog->horizon.ended_count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < backlog->list.count; j++)
			flex_lane_open_hole(backlog->list.lanes[j], backlog->horizon.ended[i]);
	}
	learn_claims_from(backlog);
	/* A long transaction may have been a sender's: its claims have become visible now that it has ended. */
	for (int i = 0; i < backlog->horizon.ended_count; i++)
		backlog->claims_from = Min(backlog->claims_from, backlog->horizon.ended[i]);
	flex_put_off_try_again(&backlog->put_off, &backlog->division, is_idle);
	read_fresh(backlog, want, most_ever);
	flex_put_off_divide_anew(&backlog->put_off, &backlog->division, backlog->list.lanes, backlog->list.count);
	look_back(backlog);
	wake_ordered(backlog);
	flex_lane_list_release_mended(&backlog->list);
	read_later(backlog, want);
}

/* Return the lane with a number, or NULL. */
Lane *
flex_backlog_lane(const Backlog *backlog, int id)
{
	return flex_lane_list_find(&backlog->list, id);
}

/* Return the lanes, ordered by number. */
Lane *const *
flex_backlog_lanes(const Backlog *backlog, int *count)
{
	*count = backlog->list.count;
	return backlog->list.lanes;
}

/* Return true if requests have been left to other senders, which may not have claimed them yet. */
bool
flex_backlog_leaves_some(const Backlog *backlog)
{
	return backlog->put_off.others_count > 0;
}

/*
 * Return the mark of the claims: no claim of an earlier transaction is live, except in its holes.
 * Before the first look it is read from the table.
 */
Mark
flex_backlog_claims_from(const Backlog *backlog)
{
	if (backlog->claims_from == 0 || backlog->table != flex_outbox_table())
		return flex_claims_read_mark();
	return (Mark){{backlog->claims_from, 0}, backlog->horizon.holes, backlog->horizon.holes_count};
}

/* Note all live claims, which must have been read after the horizon was brought up to date. */
void
flex_backlog_note_claims(Backlog *backlog, const LiveClaim *live, int count)
{
	backlog->claims_from = backlog->horizon.oldest;
	for (int i = 0; i < count; i++)
		backlog->claims_from = Min(backlog->claims_from, live[i].claimed_in);
	backlog->claims_noted++;
	flex_division_note(&backlog->division, live, count);
}

/* Return the number of the next turn (see shares.h). */
uint64
flex_backlog_take_turn(Backlog *backlog)
{
	return ++backlog->list.shares.turns;
}

/* Return true if another look at once may find requests in lanes of which none are known. */
bool
flex_backlog_may_have_more(const Backlog *backlog)
{
	for (int i = 0; i < backlog->list.count; i++)
	{
		const Lane *lane = backlog->list.lanes[i];

		if (flex_lane_waiting(lane) == 0 && flex_put_off_has_room(lane) && (lane->has_more || lane->holes_count > 0))
			return true;
	}
	return backlog->unvisited > 0 || backlog->has_freed;
}

/* Return when the next known request becomes due, can be tried again, or must be looked for; 0 if none. */
TimestampTz
flex_backlog_next_at(const Backlog *backlog)
{
	TimestampTz next_at = DT_NOEND;
	TimestampTz now = GetCurrentTimestamp();
	int64 put_off_ms = flex_put_off_wait_ms(&backlog->put_off);

	for (int i = 0; i < backlog->list.count; i++)
	{
		/* If some of a lane's due rows are known, more are read when those have been claimed. */
		if (backlog->list.lanes[i]->waiting_later == 0)
			next_at = Min(next_at, backlog->list.lanes[i]->later_due);
	}
	if (put_off_ms >= 0)
		next_at = Min(next_at, TimestampTzPlusMilliseconds(now, put_off_ms));
	if (backlog->must_look_back)
		next_at =
			Min(next_at,
				TimestampTzPlusMilliseconds(now, Max(backlog->looked_back_at + LOOK_BACK_MS - flex_clock_ms(), 0)));
	else if (backlog->must_look_all)
		next_at = Min(next_at, TimestampTzPlusMilliseconds(now, Max(backlog->look_all_at - flex_clock_ms(), 0)));
	return next_at == DT_NOEND ? 0 : Max(next_at, 1);
}

/* Return true if a lane has been read least_passed requests beyond its mark, or as many claims have been made. */
bool
flex_backlog_must_write_marks(const Backlog *backlog, int least_passed)
{
	if (backlog->claims_noted >= least_passed)
		return true;
	for (int i = 0; i < backlog->list.count; i++)
	{
		if (backlog->list.lanes[i]->passed >= least_passed)
			return true;
	}
	return false;
}

/* Write the mark of the claims.  It stays true: later claims are of later transactions, or of its holes. */
static void
write_claims_mark(Backlog *backlog)
{
	const Mark mark = flex_backlog_claims_from(backlog);

	if (mark.at.xid != 0)
		flex_lane_write_mark(LANE_OF_CLAIMS, &mark);
	backlog->claims_noted = 0;
}

/* Write the mark of the claims, and those of lanes that have been read at least least_passed requests further. */
void
flex_backlog_write_marks(Backlog *backlog, int least_passed)
{
	write_claims_mark(backlog);
	for (int i = 0; i < backlog->list.count; i++)
	{
		Lane *lane = backlog->list.lanes[i];
		Candidate *put_off;
		int put_off_count;
		Mark mark;

		CHECK_FOR_INTERRUPTS();
		if (lane->passed < least_passed)
			continue;
		put_off = flex_put_off_of_lane(&backlog->put_off, lane, &put_off_count);
		mark = flex_lane_mark(lane, &backlog->horizon, put_off, put_off_count);
		flex_lane_write_mark(lane->id, &mark);
		lane->passed = 0;
	}
}
