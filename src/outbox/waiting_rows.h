/*
 * waiting_rows.h
 *		Requests that wait: those that are new, and those that wait for a time.
 */
#ifndef FLEX_WAITING_ROWS_H
#define FLEX_WAITING_ROWS_H

#include "datatype/timestamp.h"

#include "outbox/lane_rows.h"

/* Transactions that are in progress, of all databases. */
typedef struct RunningTransactions
{
	uint64 next;  /* later ones have this number, or a greater one */
	uint64 *xids; /* ascending */
	int count;
} RunningTransactions;

/* A part of a lane that is to be read. */
typedef struct Stretch
{
	int lane;
	Position behind;
	uint64 end; /* transactions before this one */
	int most;   /* rows */
} Stretch;

/* A request of a stretch. */
typedef struct FreshRow
{
	int stretch; /* its number, from 0 on */
	Position at;
	bool is_pending;
} FreshRow;

/* What is to be read of the requests of a lane that wait for a time. */
typedef struct LaterStretch
{
	int lane;
	TimestampTz from;
	int most; /* rows */
} LaterStretch;

/* A request that waits for a time. */
typedef struct LaterRow
{
	int stretch;
	int64 id;
	int turn;
	TimestampTz due_at;
	TimestampTz held_since; /* 0: for no operator */
} LaterRow;

/* What a request that waits for a time is found by. */
typedef struct LaterKey
{
	int lane;
	TimestampTz due_at;
	int64 id;
	int turn;
	bool is_held;           /* for an operator, as others are; no part of the key */
	TimestampTz held_since; /* since when; where it is held */
} LaterKey;

extern RunningTransactions flex_running_transactions(void);
extern void flex_later_add(int lane, TimestampTz due_at, int64 id, int turn);
extern void flex_later_release(int lane);
extern void flex_later_sweep(void);
extern void flex_later_delete(const LaterKey *keys, int count);
extern void flex_later_park(const LaterKey *keys, int count);
extern FreshRow *flex_fresh_rows(const Stretch *stretches, int stretch_count, int *count);
extern LaterRow *flex_later_rows(const LaterStretch *stretches, int stretch_count, int *count);

#endif /* FLEX_WAITING_ROWS_H */
