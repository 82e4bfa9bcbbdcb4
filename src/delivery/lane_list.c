/*
 * lane_list.c
 *		The lanes of the outbox that a sender knows.
 *
 * A lane's number comes from a sequence, and lanes do not become visible in the order of their
 * numbers.  So we remember a number up to which all lanes are known, and read only the lanes
 * beyond it to find new ones.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"

#include "delivery/lane_list.h"

/* Return the lane with a number, or NULL. */
Lane *
flex_lane_list_find(const LaneList *list, int id)
{
	int low = 0;
	int high = list->count;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (list->lanes[middle]->id == id)
			return list->lanes[middle];
		if (list->lanes[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Insert a lane into the array, which is ordered by number. */
static void
insert_lane(LaneList *list, Lane *lane)
{
	int place = list->count;

	if (list->count == list->room)
	{
		list->room = Max(list->room * 2, 16);
		list->lanes = list->lanes == NULL ? MemoryContextAlloc(list->context, sizeof(Lane *) * list->room)
										  : repalloc(list->lanes, sizeof(Lane *) * list->room);
	}
	while (place > 0 && list->lanes[place - 1]->id > lane->id)
	{
		list->lanes[place] = list->lanes[place - 1];
		place--;
	}
	list->lanes[place] = lane;
	list->count++;
}

/* Return true if a long transaction has ended that may have created lanes with numbers up to all_known. */
static bool
may_have_been_late(const LaneList *list, const Horizon *horizon)
{
	for (int i = 0; i < horizon->ended_count; i++)
	{
		if (horizon->ended[i] < list->all_known_before)
			return true;
	}
	return false;
}

/* Read lanes from the table, and add those that are not known yet, with the holes of their marks. */
static void
read_new(LaneList *list, Horizon *horizon)
{
	int count;
	LaneRow *rows = flex_lane_rows(may_have_been_late(list, horizon) ? 0 : list->all_known, &count);

	for (int i = 0; i < count; i++)
	{
		Lane *lane;

		CHECK_FOR_INTERRUPTS();
		if (flex_lane_list_find(list, rows[i].id) != NULL)
			continue;
		lane = flex_lane_create(&rows[i], list->context);
		lane->role = flex_shares_of_role(&list->shares, rows[i].role_id);
		lane->account = flex_shares_of_account(&list->shares, rows[i].role_id, rows[i].server, rows[i].account_sid);
		insert_lane(list, lane);
		for (int j = 0; j < rows[i].mark.holes_count; j++)
		{
			uint64 hole = rows[i].mark.holes[j];

			if (flex_horizon_is_running(horizon, hole))
				flex_horizon_add_hole(horizon, hole);
			else
				flex_lane_open_hole(lane, hole);
		}
	}
}

/*
 * Advance all_known, the number up to which all lanes are known.  It is advanced to the greatest
 * number of an earlier look, once all transactions that were in progress then have ended, except
 * holes; when one of these ends, all lanes are read once more.  This is correct because a
 * transaction has its own number before it takes a number for a lane: one that begins later
 * cannot create a lane with a smaller number.
 */
static void
note_known(LaneList *list, const Horizon *horizon)
{
	if (list->last_known > list->all_known && horizon->oldest >= list->last_known_before)
	{
		list->all_known = list->last_known;
		list->all_known_before = list->last_known_before;
	}
	if (list->last_known == list->all_known && list->count > 0 && list->lanes[list->count - 1]->id > list->all_known)
	{
		list->last_known = list->lanes[list->count - 1]->id;
		/* The snapshot's end would not do: transactions that began after it may have taken smaller numbers. */
		list->last_known_before = U64FromFullTransactionId(ReadNextFullTransactionId());
	}
}

/* Read the lanes that have been created since the last call.  The horizon must be up to date. */
void
flex_lane_list_read(LaneList *list, Horizon *horizon)
{
	read_new(list, horizon);
	note_known(list, horizon);
}

/* Make the requests of marked lanes due that wait for an operator, because something may have been mended. */
void
flex_lane_list_release_mended(LaneList *list)
{
	for (int i = 0; i < list->count; i++)
	{
		Lane *lane = list->lanes[i];

		if (!lane->must_release)
			continue;
		flex_later_release(lane->id);
		lane->must_release = false;
		lane->later_from = DT_NOBEGIN;
		lane->later_due = DT_NOBEGIN;
	}
}
