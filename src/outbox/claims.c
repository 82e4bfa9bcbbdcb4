/*
 * claims.c
 *		Requests of the outbox that a sender has claimed, or may claim.
 *
 * The caller has connected to SPI, and stands between flex_outbox_enter() and
 * flex_outbox_leave().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/claims.h"
#include "outbox/roles.h"
#include "outbox/statements.h"

/* The rows of a statement as an array of structs, in the current context. */
static void *
read_rows(const Statement *statement, uint64 count, size_t size)
{
	char *rows = palloc0(size * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
		flex_statement_read(statement, i, rows + i * size);
	return rows;
}

static const ResultColumn lane_columns[] = {
	RESULT_COLUMN("l.operation", TEXTOID, Lane, operation),
	RESULT_COLUMN("l.priority", INT4OID, Lane, priority),
	RESULT_COLUMN("l.run_at AS due_at", TIMESTAMPTZOID, Lane, due_at),
	RESULT_COLUMN("timestamptz '-infinity'", TIMESTAMPTZOID, Lane, claim_from),
};

/* From lane to lane along the index, however many requests are in each. */
static Statement list_lanes = {
	.sql = "WITH RECURSIVE lanes AS ("
		   "(SELECT operation, priority, run_at FROM $t.flex_outbox_requests WHERE state = 'pending' "
		   "ORDER BY operation, priority, run_at, id LIMIT 1) "
		   "UNION ALL SELECT next.* FROM lanes AS l, LATERAL ("
		   "SELECT operation, priority, run_at FROM $t.flex_outbox_requests AS o WHERE state = 'pending' "
		   "AND (o.operation, o.priority) > (l.operation, l.priority) "
		   "ORDER BY operation, priority, run_at, id LIMIT 1) AS next) "
		   "SELECT $result FROM lanes AS l "
		   "ORDER BY l.priority DESC, due_at",
	.result = lane_columns,
	.result_count = lengthof(lane_columns),
};

/* All lanes that have requests, the most urgent first. */
Lane *
flex_outbox_lanes(int *count)
{
	*count = (int) flex_statement_execute(&list_lanes, NULL, NULL);
	return read_rows(&list_lanes, *count, sizeof(Lane));
}

/* What a claim tells of its row; $3 is this database. */
#define CLAIM_COLUMNS(arguments_of_row)                                                                                \
	{                                                                                                                  \
		RESULT_COLUMN("o.id", INT8OID, Claim, id), RESULT_COLUMN("o.operation", TEXTOID, Claim, operation),            \
			RESULT_COLUMN(arguments_of_row, JSONBOID, Claim, arguments),                                               \
			RESULT_COLUMN("o.attempts", INT4OID, Claim, attempts),                                                     \
			RESULT_COLUMN("o.max_attempts", INT4OID, Claim, max_attempts),                                             \
			RESULT_COLUMN(ROLE_OF_ID("o.role_id"), OIDOID, Claim, role),                                               \
			RESULT_COLUMN("o.account_sid", TEXTOID, Claim, account_sid),                                               \
			RESULT_COLUMN("o.on_success IS NOT NULL", BOOLOID, Claim, on_success),                                     \
			RESULT_COLUMN("o.on_failure IS NOT NULL", BOOLOID, Claim, on_failure),                                     \
			RESULT_COLUMN("o.enqueued_in <> $3", BOOLOID, Claim, foreign),                                             \
			RESULT_COLUMN("o.http_status IS NOT NULL", BOOLOID, Claim, was_answered),                                  \
			RESULT_COLUMN("o.may_be_done", BOOLOID, Claim, may_be_done),                                               \
			RESULT_COLUMN("o.run_at", TIMESTAMPTZOID, Claim, run_at),                                                  \
			RESULT_COLUMN("o.started_at", TIMESTAMPTZOID, Claim, started_at),                                          \
	}

static const ResultColumn claim_columns[] = CLAIM_COLUMNS("o.arguments");

/* By ctid, which is good as long as the rows are locked: no second look into an index. */
static Statement claim_due = {
	.sql =
		"UPDATE $t.flex_outbox_requests AS o SET state = 'sending', attempts = least(o.attempts, 2147483646) + 1, "
		"started_at = clock_timestamp(), sender_pid = $1, sender_start = $2 "
		"WHERE o.ctid = ANY (ARRAY(SELECT ctid FROM $t.flex_outbox_requests WHERE state = 'pending' AND operation = $4 "
		"AND priority = $5 AND run_at >= $6 AND run_at <= $7 "
		"AND ($9 = '{}' OR concat(coalesce(" ROLE_OF_ID(
			"role_id") ", 0), ' ', account_sid) <> ALL ($9)) ORDER BY operation, priority, run_at, id "
					   "LIMIT $8 FOR NO KEY UPDATE SKIP LOCKED)) RETURNING $result",
	.types = {INT4OID, TIMESTAMPTZOID, OIDOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, TEXTARRAYOID},
	.result = claim_columns,
	.result_count = lengthof(claim_columns),
};

/* A role's requests for an account (NULL: they name none), as flex_outbox_claim() knows them. */
char *
flex_outbox_source(Oid role, const char *account_sid)
{
	return psprintf("%u %s", role, account_sid != NULL ? account_sid : "");
}

/*
 * Claim requests that are due, from run_at on, for this process to send, but none of
 * those sources (text[]).  They may be sent once the transaction has been committed, to
 * disk.
 */
Claim *
flex_outbox_claim(const Lane *lane, int limit, Datum without, int *count)
{
	Datum values[] = {
		Int32GetDatum(MyProcPid),
		TimestampTzGetDatum(MyStartTimestamp),
		ObjectIdGetDatum(MyDatabaseId),
		CStringGetTextDatum(lane->operation),
		Int32GetDatum(lane->priority),
		TimestampTzGetDatum(lane->claim_from),
		TimestampTzGetDatum(GetCurrentTimestamp()),
		Int32GetDatum(limit),
		without,
	};

	*count = (int) flex_statement_execute(&claim_due, values, NULL);
	Assert(*count <= limit);
	return read_rows(&claim_due, *count, sizeof(Claim));
}

static const ResultColumn sender_columns[] = {
	RESULT_COLUMN("coalesce(sender_pid, 0)", INT4OID, SenderProcess, pid),
	RESULT_COLUMN("coalesce(sender_start, '-infinity')", TIMESTAMPTZOID, SenderProcess, start),
};

static Statement list_senders = {
	.sql = "SELECT DISTINCT $result FROM $t.flex_outbox_requests WHERE state = 'sending' AND outcome IS NULL",
	.result = sender_columns,
	.result_count = lengthof(sender_columns),
};

/* Processes that have claimed requests and not settled them. */
SenderProcess *
flex_outbox_senders(int *count)
{
	*count = (int) flex_statement_execute(&list_senders, NULL, NULL);
	return read_rows(&list_senders, *count, sizeof(SenderProcess));
}

/* Without the arguments, but for the method of a flex_request(), which tells whether it may be sent again. */
static const ResultColumn orphan_columns[] = CLAIM_COLUMNS("CASE WHEN o.operation = 'flex_request' THEN "
														   "jsonb_build_object('method', o.arguments -> 'method') END");

/* They become ours: only the process that has claimed a request settles it, and by the time of the claim. */
static Statement take_over = {
	.sql = "UPDATE $t.flex_outbox_requests AS o SET sender_pid = $1, sender_start = $2, "
		   "started_at = coalesce(o.started_at, clock_timestamp()) "
		   "WHERE o.ctid = ANY (ARRAY(SELECT ctid FROM $t.flex_outbox_requests WHERE state = 'sending' AND outcome IS "
		   "NULL "
		   "AND coalesce(sender_pid, 0) = $4 AND coalesce(sender_start, '-infinity') = $5 "
		   "LIMIT $6 FOR NO KEY UPDATE SKIP LOCKED)) RETURNING $result",
	.types = {INT4OID, TIMESTAMPTZOID, OIDOID, INT4OID, TIMESTAMPTZOID, INT4OID},
	.result = orphan_columns,
	.result_count = lengthof(orphan_columns),
};

/* Make requests that a sender which is gone had claimed this process's. */
Claim *
flex_outbox_take_over(const SenderProcess *sender, int limit, int *count)
{
	Datum values[] = {
		Int32GetDatum(MyProcPid),   TimestampTzGetDatum(MyStartTimestamp), ObjectIdGetDatum(MyDatabaseId),
		Int32GetDatum(sender->pid), TimestampTzGetDatum(sender->start),    Int32GetDatum(limit),
	};

	*count = (int) flex_statement_execute(&take_over, values, NULL);
	return read_rows(&take_over, *count, sizeof(Claim));
}
