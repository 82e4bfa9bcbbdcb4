/*
 * horizon.h
 *		Which transactions have ended, so that all of their requests have been seen.
 */
#ifndef FLEX_HORIZON_H
#define FLEX_HORIZON_H

/* A transaction in progress, and since when that is known. */
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
	uint64 *holes; /* those of them that take long */
	int holes_count;
	uint64 *ended; /* holes that have ended since the last look */
	int ended_count;
	uint64 oldest; /* all transactions before this one have ended, but for the holes */
	uint64 next;   /* no transaction had this number yet, or a greater one */
} Horizon;

extern void flex_horizon_add_hole(Horizon *horizon, uint64 xid);
extern bool flex_horizon_is_running(const Horizon *horizon, uint64 xid);
extern void flex_horizon_look(Horizon *horizon);

#endif /* FLEX_HORIZON_H */
