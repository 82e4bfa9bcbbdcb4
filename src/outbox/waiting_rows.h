/*
 * waiting_rows.h
 *		Pending requests: new ones, and those that wait for a time.
 */
#ifndef FLEX_WAITING_ROWS_H
#define FLEX_WAITING_ROWS_H

#include "datatype/timestamp.h"

#include "outbox/lane_rows.h"

/* The transactions in progress, of all databases. */
typedef struct RunningTransactions
{
	uint64 next;  /* transactions with this or a greater number began later */
	uint64 *xids; /* full numbers of top-level transactions, ascending */
	int count;
} RunningTransactions;

/* A part of a lane that flex_fresh_rows() is to read. */
typedef struct Stretch
{
	int lane;
	Position behind; /* exclusive lower bound */
	uint64 end;      /* exclusive upper bound: a transaction */
	int most;        /* rows to read at most */
} Stretch;

/* A request that was read, whether it is still pending or not. */
typedef struct FreshRow
{
	int stretch; /* index of the stretch that it belongs to */
	Position at;
	bool is_pending;
} FreshRow;

/* A part of flex_outbox_later that flex_later_rows() is to read. */
typedef struct LaterStretch
{
	int lane;
	TimestampTz from; /* inclusive lower bound of due_at */
	int most;         /* rows to read at most */
} LaterStretch;

/* A row of flex_outbox_later. */
typedef struct LaterRow
{
	int stretch; /* index of the stretch that it belongs to */
	int64 id;
	int turn;
	TimestampTz due_at;
	TimestampTz held_since; /* 0: it does not wait for an operator */
} LaterRow;

/* The columns by which a row of flex_outbox_later is found, and those that park it. */
typedef struct LaterKey
{
	int lane;
	TimestampTz due_at;
	int64 id;
	int turn;
	bool is_held;           /* waits for an operator, as other requests do; not part of the key */
	TimestampTz held_since; /* when that wait began; only for flex_later_park() */
} LaterKey;

extern RunningTransactions flex_running_transactions(void);
extern void flex_later_add(int lane, TimestampTz due_at, int64 id, int turn);
extern void flex_later_release(int lane);
extern void flex_later_sweep(void);
extern void flex_later_delete(const LaterKey *keys, int count);
extern void flex_later_park(const LaterKey *keys, int count);
extern FreshRow *flex_fresh_rows(const Stretch *stretches, int stretch_count, int *count);
extern LaterRow *flex_later_rows(const LaterStretch *stretches, int stretch_count, TimestampTz now, int *count);

#endif /* FLEX_WAITING_ROWS_H */
