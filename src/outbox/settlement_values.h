/*
 * settlement_values.h
 *		A settlement as values of columns, and what became of it in the table.
 */
#ifndef FLEX_SETTLEMENT_VALUES_H
#define FLEX_SETTLEMENT_VALUES_H

/* The columns of a settlement: those of the relation that the statements call "s". */
#define SETTLEMENT_COLUMNS(COLUMN)                                                                                     \
	COLUMN(id, INT8OID)                                                                                                \
	COLUMN(turn, INT4OID)                                                                                              \
	COLUMN(enqueued_xid, XID8OID)                                                                                      \
	COLUMN(claimed_in, XID8OID)                                                                                        \
	COLUMN(lane, INT4OID)                                                                                              \
	COLUMN(cause, TEXTOID)                                                                                             \
	COLUMN(held_since, TIMESTAMPTZOID)                                                                                 \
	COLUMN(started_at, TIMESTAMPTZOID)                                                                                 \
	COLUMN(state, TEXTOID)                                                                                             \
	COLUMN(with_callback, BOOLOID)                                                                                     \
	COLUMN(run_at, TIMESTAMPTZOID)                                                                                     \
	COLUMN(uncounted, INT4OID)                                                                                         \
	COLUMN(may_be_done, BOOLOID)                                                                                       \
	COLUMN(http_status, INT4OID)                                                                                       \
	COLUMN(error_code, TEXTOID)                                                                                        \
	COLUMN(error_message, TEXTOID)                                                                                     \
	COLUMN(request_id, TEXTOID)                                                                                        \
	COLUMN(response, JSONBOID)                                                                                         \
	COLUMN(sid, TEXTOID)                                                                                               \
	COLUMN(arguments, JSONBOID)                                                                                        \
	COLUMN(context, JSONBOID)

#define NUMBER_OF_COLUMN(name, type) SETTLEMENT_##name,

typedef enum SettlementColumn
{
	SETTLEMENT_COLUMNS(NUMBER_OF_COLUMN) Natts_settlement
} SettlementColumn;

typedef struct SettlementValues
{
	Datum values[Natts_settlement];
	bool nulls[Natts_settlement];
} SettlementValues;

/* What became of a request that was to be settled.  There is none for requests that no longer wait for that. */
typedef struct Settled
{
	int64 id;
	char *state;    /* NULL if it is not final, or a callback has to run */
	bool is_locked; /* not settled, because another session has locked the row */
	bool is_kept;   /* not settled, because a trigger has suppressed or undone the update */
	int role_id;
	char *ordering_key; /* or NULL */
} Settled;

#endif /* FLEX_SETTLEMENT_VALUES_H */
