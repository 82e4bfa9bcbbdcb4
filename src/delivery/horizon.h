/*
 * horizon.h
 *		Tracks which transactions have ended, so that their rows need not be read again.
 */
#ifndef FLEX_HORIZON_H
#define FLEX_HORIZON_H

/* A transaction in progress, and the flex_clock_ms() of the look that first saw it. */
typedef struct RunningTransaction
{
	uint64 xid;
	int64 since_ms;
} RunningTransaction;

typedef struct Horizon
{
	MemoryContext context;
	RunningTransaction *running; /* ascending */
	int running_count;
	uint64 *holes; /* long transactions, in progress as far as known */
	int holes_count;
	uint64 *ended; /* holes that ended between the last two looks */
	int ended_count;
	uint64 oldest; /* all transactions before this one have ended, except the holes */
	uint64 next;   /* no transaction had this number or a greater one at the last look */
} Horizon;

extern void flex_horizon_add_hole(Horizon *horizon, uint64 xid);
extern bool flex_horizon_is_running(const Horizon *horizon, uint64 xid);
extern void flex_horizon_look(Horizon *horizon);

#endif /* FLEX_HORIZON_H */
