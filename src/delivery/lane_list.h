/*
 * lane_list.h
 *		The lanes of the outbox that a sender knows.
 */
#ifndef FLEX_LANE_LIST_H
#define FLEX_LANE_LIST_H

#include "delivery/lane.h"

typedef struct LaneList
{
	MemoryContext context;
	Lane **lanes; /* by number */
	int count;
	int room;
	int all_known;           /* there is no other lane up to this number... */
	uint64 all_known_before; /* ... but of a transaction before this one that takes long */
	int last_known;          /* the greatest number when the transaction below was the next */
	uint64 last_known_before;
	Shares shares;
} LaneList;

extern Lane *flex_lane_list_find(const LaneList *list, int id);
extern void flex_lane_list_read(LaneList *list, Horizon *horizon);
extern void flex_lane_list_release_mended(LaneList *list);

#endif /* FLEX_LANE_LIST_H */
