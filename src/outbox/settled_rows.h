/*
 * settled_rows.h
 *		The statements that write settlements.
 */
#ifndef FLEX_SETTLED_ROWS_H
#define FLEX_SETTLED_ROWS_H

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

/* Why a request was not settled. */
typedef enum Obstacle
{
	OBSTACLE_NONE,
	OBSTACLE_LOCK,   /* another session has locked its row */
	OBSTACLE_REFUSAL /* a trigger, rule, constraint or policy of a user has refused or suppressed it */
} Obstacle;

extern ErrorData *flex_settled_rows_write(SettlementValues *rows, int count);
extern ErrorData *flex_settled_rows_write_large(SettlementValues *row);
extern void flex_settled_rows_note_refusal(int64 id, const ErrorData *error);
extern Obstacle flex_settled_rows_obstacle(int64 id);
extern void flex_settled_rows_begin(void);
extern void flex_outbox_notify(int64 id, const char *state);

#endif /* FLEX_SETTLED_ROWS_H */
