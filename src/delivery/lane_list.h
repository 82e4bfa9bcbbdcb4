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
	int all_known;            /* all lanes up to this number are known ... */
	uint64 all_known_before;  /* ... except those of holes before this transaction */
	int last_known;           /* the next value of all_known ... */
	uint64 last_known_before; /* ... once all transactions before this one have ended, except holes */
	Shares shares;
} LaneList;

extern Lane *flex_lane_list_find(const LaneList *list, int id);
extern void flex_lane_list_read(LaneList *list, Horizon *horizon);
extern void flex_lane_list_release_mended(LaneList *list);

#endif /* FLEX_LANE_LIST_H */
