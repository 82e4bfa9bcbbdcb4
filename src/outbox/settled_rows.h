/*
 * settled_rows.h
 *		The statements that write settlements.
 */
#ifndef FLEX_SETTLED_ROWS_H
#define FLEX_SETTLED_ROWS_H

#include "outbox/settlement_values.h"

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
