/*
 * lane.c
 *		A lane of the outbox, as far as a sender has read it.
 *
 * The requests of a lane are read in the order of transactions and ids.  A sender remembers the
 * position up to which it has read, so that it never reads the entries before it again, most of
 * which were sent long ago.  The position stays before the first transaction in progress that is
 * not a hole (horizon.c); requests read behind it are remembered one by one ("known").
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "delivery/lane.h"

#define LAST_ID PG_INT64_MAX

/* Create a lane from its row, as if it had been read up to its mark. */
Lane *
flex_lane_create(const LaneRow *row, MemoryContext context)
{
	Lane *lane = MemoryContextAllocZero(context, sizeof(Lane));

	lane->context = context;
	lane->id = row->id;
	lane->identity.role = row->role;
	lane->identity.server = row->server != NULL ? MemoryContextStrdup(context, row->server) : NULL;
	lane->identity.account_sid = row->account_sid != NULL ? MemoryContextStrdup(context, row->account_sid) : NULL;
	lane->operation_name = MemoryContextStrdup(context, row->operation);
	lane->is_mixed = strcmp(row->operation, MIXED_LANE) == 0;
	lane->operation = lane->is_mixed ? NULL : flex_operation_find(row->operation);
	lane->priority = row->priority;
	lane->read = row->mark.at;
	lane->has_more = true;
	lane->later_from = DT_NOBEGIN;
	lane->later_due = DT_NOBEGIN;
	return lane;
}

/* Enlarge an array, if necessary, so that one more element fits.  Return it. */
static void *
with_room(MemoryContext context, void *array, int count, int *room, size_t size)
{
	if (count < *room)
		return array;
	*room = Max(*room * 2, 8);
	return array == NULL ? MemoryContextAlloc(context, size * *room) : repalloc(array, size * *room);
}

static int
compare_positions(Position a, Position b)
{
	if (a.xid != b.xid)
		return a.xid < b.xid ? -1 : 1;
	return a.id < b.id ? -1 : a.id > b.id;
}

/* Return the number of requests that have been read and may be claimed. */
int
flex_lane_waiting(const Lane *lane)
{
	return lane->waiting_end - lane->waiting_first;
}

/* Remove and return the request that is to be claimed next.  There must be one. */
Candidate
flex_lane_take(Lane *lane)
{
	Candidate candidate;

	Assert(flex_lane_waiting(lane) > 0);
	candidate = lane->waiting[lane->waiting_first++];
	if (candidate.xid == 0)
		lane->waiting_later--;
	if (lane->waiting_first == lane->waiting_end)
		lane->waiting_first = lane->waiting_end = 0;
	return candidate;
}

/* Append a request to those that may be claimed. */
void
flex_lane_add(Lane *lane, const Candidate *candidate)
{
	if (lane->waiting_first > 0 && lane->waiting_end == lane->waiting_room)
	{
		memmove(lane->waiting, lane->waiting + lane->waiting_first, sizeof(Candidate) * flex_lane_waiting(lane));
		lane->waiting_end -= lane->waiting_first;
		lane->waiting_first = 0;
	}
	lane->waiting = with_room(lane->context, lane->waiting, lane->waiting_end, &lane->waiting_room, sizeof(Candidate));
	lane->waiting[lane->waiting_end++] = *candidate;
	if (candidate->xid == 0)
		lane->waiting_later++;
}

/* A long transaction has ended: if the lane has been read past it, its requests have to be read. */
void
flex_lane_open_hole(Lane *lane, uint64 xid)
{
	if (lane->read.xid < xid)
		return;
	lane->holes = with_room(lane->context, lane->holes, lane->holes_count, &lane->holes_room, sizeof(Hole));
	lane->holes[lane->holes_count++] = (Hole){.xid = xid};
}

/* Return the range of the index to read so that "want" more requests of the lane become known. */
Stretch
flex_lane_stretch(const Lane *lane, const Horizon *horizon, int want)
{
	return (Stretch){.lane = lane->id, .behind = lane->read, .end = horizon->next, .most = lane->known_count + want};
}

/* Return the same for a hole. */
Stretch
flex_lane_hole_stretch(const Lane *lane, int hole, int want)
{
	const Hole *read = &lane->holes[hole];

	return (Stretch){.lane = lane->id, .behind = {read->xid, read->read}, .end = read->xid + 1, .most = want};
}

static bool
is_known(const Lane *lane, Position at)
{
	int low = 0;
	int high = lane->known_count;

	while (low < high)
	{
		int middle = (low + high) / 2;
		int order = compare_positions(lane->known[middle], at);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Return the lane's new position after a stretch has returned these rows; is_all if there are no more. */
static Position
place_behind(const Lane *lane, const Horizon *horizon, bool is_all, const FreshRow *rows, int count)
{
	Position place = {horizon->oldest - 1, LAST_ID};

	/* There are more rows before those of the transactions in progress. */
	if (!is_all && rows[count - 1].at.xid < horizon->oldest)
		place = rows[count - 1].at;
	return compare_positions(place, lane->read) > 0 ? place : lane->read;
}

/* Process the rows of the lane's stretch, in their order. */
void
flex_lane_read(Lane *lane, const Horizon *horizon, int want, const FreshRow *rows, int count)
{
	bool is_all = count < lane->known_count + want;
	Position place = place_behind(lane, horizon, is_all, rows, count);
	Position *known = NULL;
	int known_count = 0;
	int known_room = 0;

	for (int i = 0; i < count; i++)
	{
		if (!is_known(lane, rows[i].at))
		{
			lane->passed++;
			if (rows[i].is_pending)
				flex_lane_add(lane, &(Candidate){.id = rows[i].at.id, .xid = rows[i].at.xid});
		}
		if (compare_positions(rows[i].at, place) <= 0)
			continue;
		known = with_room(lane->context, known, known_count, &known_room, sizeof(Position));
		known[known_count++] = rows[i].at;
	}
	/* If others have inserted rows in between, the stretch has not reached all the known ones: keep the rest. */
	for (int i = 0; !is_all && i < lane->known_count; i++)
	{
		if (compare_positions(lane->known[i], rows[count - 1].at) <= 0)
			continue;
		known = with_room(lane->context, known, known_count, &known_room, sizeof(Position));
		known[known_count++] = lane->known[i];
	}
	if (lane->known != NULL)
		pfree(lane->known);
	lane->known = known;
	lane->known_count = known_count;
	lane->known_room = known_room;
	lane->read = place;
	lane->has_more = !is_all;
}

/* Process the rows of a hole's stretch, in their order. */
void
flex_lane_read_hole(Lane *lane, int hole, int want, const FreshRow *rows, int count)
{
	Hole *read = &lane->holes[hole];

	for (int i = 0; i < count; i++)
	{
		if (rows[i].is_pending)
			flex_lane_add(lane, &(Candidate){.id = rows[i].at.id, .xid = rows[i].at.xid, .is_of_hole = true});
		read->read = rows[i].at.id;
	}
	if (count < want)
		read->read = LAST_ID;
}

/* Forget the holes that have been read completely. */
void
flex_lane_close_holes(Lane *lane)
{
	int left = 0;

	for (int i = 0; i < lane->holes_count; i++)
	{
		if (lane->holes[i].read != LAST_ID)
			lane->holes[left++] = lane->holes[i];
	}
	lane->holes_count = left;
}

/*
 * Process the lane's first rows of flex_outbox_later, as flex_later_rows() has read them for "want" requests:
 * add those that are due by "now", and note when the next is.
 */
void
flex_lane_read_later(Lane *lane, int want, TimestampTz now, const LaterRow *rows, int count)
{
	int due = 0;

	Assert(lane->waiting_later == 0);
	for (; due < count && rows[due].due_at <= now; due++)
		flex_lane_add(lane, &(Candidate){.id = rows[due].id,
										 .turn = rows[due].turn,
										 .due_at = rows[due].due_at,
										 .held_since = rows[due].held_since});
	lane->later_from = count > 0 ? rows[0].due_at : now;
	/* If as many are due as were wanted, there may be more. */
	if (due >= want)
		lane->later_due = now;
	else
		lane->later_due = due < count ? rows[due].due_at : DT_NOEND;
}

static void
add_hole_to(Mark *mark, uint64 xid)
{
	for (int i = 0; i < mark->holes_count; i++)
	{
		if (mark->holes[i] == xid)
			return;
	}
	mark->holes[mark->holes_count++] = xid;
}

/* Move a mark before a request that has been read and not claimed; if that is of a hole, keep the hole in the mark. */
static void
stay_before(Mark *mark, Position at, bool is_of_hole)
{
	if (is_of_hole)
		add_hole_to(mark, at.xid);
	else if (compare_positions(at, mark->at) <= 0)
		mark->at = (Position){at.xid, at.id - 1};
}

/*
 * Return the lane's mark: up to there nothing has to be read again, except its holes.  It is
 * allocated in the current memory context.  put_off are the requests that are put off.
 */
Mark
flex_lane_mark(const Lane *lane, const Horizon *horizon, const Candidate *put_off, int put_off_count)
{
	Mark mark = {.at = lane->read};

	mark.holes = palloc(sizeof(uint64) *
						(horizon->holes_count + lane->holes_count + flex_lane_waiting(lane) + put_off_count + 1));
	for (int i = 0; i < lane->holes_count; i++)
		add_hole_to(&mark, lane->holes[i].xid);
	for (int i = lane->waiting_first; i < lane->waiting_end; i++)
	{
		if (lane->waiting[i].xid != 0)
			stay_before(&mark, (Position){lane->waiting[i].xid, lane->waiting[i].id}, lane->waiting[i].is_of_hole);
	}
	for (int i = 0; i < put_off_count; i++)
		stay_before(&mark, (Position){put_off[i].xid, put_off[i].id}, put_off[i].is_of_hole);
	for (int i = 0; i < horizon->holes_count; i++)
	{
		if (horizon->holes[i] <= mark.at.xid)
			add_hole_to(&mark, horizon->holes[i]);
	}
	return mark;
}
