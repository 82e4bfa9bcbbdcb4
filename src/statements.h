/*
 * statements.h
 *		The SQL that the outbox's rows are read and written with.
 */
#ifndef FLEX_STATEMENTS_H
#define FLEX_STATEMENTS_H

/*
 * Rights and names while the outbox's tables are being used: those of the
 * extension's owner, with no search_path but the server's own.
 */
typedef struct OutboxAccess
{
	Oid user;
	int security;
	int nest_level;
} OutboxAccess;

typedef enum StatementName
{
	INSERT_REQUEST,
	INSERT_KEYED,
	FIND_KEY,
	LIST_LANES,
	CLAIM,
	SETTLE,
	HOLD,
	LIST_SENDERS,
	TAKE_OVER,
	CLAIM_CALLBACK,
	SETTLE_CALLBACK,
	FAIL_CALLBACK,
	NEXT_CALLBACK,
	EXPIRE,
	NOTE_DRAIN,
	NOTE_WORKER,
	WAS_DRAINED,
	LOCK_REQUEST,
	RETRY,
	RETRY_CALLBACK,
	CANCEL,
	STATEMENTS
} StatementName;

extern Oid flex_outbox_schema(bool missing_ok);
extern void flex_outbox_pin(void);
extern void flex_outbox_enter(OutboxAccess *access);
extern void flex_outbox_enter_to_insert(OutboxAccess *access);
extern void flex_outbox_leave(OutboxAccess *access);
extern uint64 flex_statement_run(StatementName name, Datum *values, const char *nulls);

#endif /* FLEX_STATEMENTS_H */
