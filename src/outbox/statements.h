/*
 * statements.h
 *		The SQL that the outbox's rows are read and written with.
 */
#ifndef FLEX_STATEMENTS_H
#define FLEX_STATEMENTS_H

typedef enum StatementName
{
	INSERT_REQUEST,
	INSERT_KEYED,
	FIND_KEY,
	LIST_LANES,
	CLAIM,
	SETTLE,
	SETTLE_ONE,
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

extern uint64 flex_statement_run(StatementName name, Datum *values, const char *nulls);

#endif /* FLEX_STATEMENTS_H */
