/*
 * expiring_rows.c
 *		Requests with a time of expiry: the rows of flex_outbox_expiring.
 *
 * A request with expires_at has a row, which stays until that time, or until the request is
 * deleted.  It is not deleted when the request ends, because then each settlement would have
 * to look for one.  flex_outbox_retry() inserts another row, for the new turn: a sender that
 * has seen the old row as void may be deleting it at the same time.
 *
 * Unless noted otherwise, the caller must have connected to SPI, and called
 * flex_outbox_enter().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/timestamp.h"

#include "outbox/access.h"
#include "outbox/expiring_rows.h"
#include "outbox/statements.h"

static Statement add_rows = {
	.sql = "INSERT INTO $t.flex_outbox_expiring (expires_at, id, turn) SELECT $1, s.id, $3 FROM unnest($2) AS s(id)",
	.types = {TIMESTAMPTZOID, INT8ARRAYOID, INT4OID},
};

/*
 * Insert rows for pending requests with the same time and turn.  This function connects to SPI and
 * calls flex_outbox_enter() itself.
 */
void
flex_expiring_add(TimestampTz expires_at, const int64 *ids, int count, int turn)
{
	Datum *numbers = palloc(sizeof(Datum) * Max(count, 1));
	Datum values[] = {TimestampTzGetDatum(expires_at), (Datum) 0, Int32GetDatum(turn)};
	OutboxAccess access;

	for (int i = 0; i < count; i++)
		numbers[i] = Int64GetDatum(ids[i]);
	values[1] = flex_statement_array(INT8OID, numbers, count);
	SPI_connect();
	flex_outbox_enter(&access);
	flex_statement_execute(&add_rows, values, NULL);
	flex_outbox_leave(&access);
	SPI_finish();
}

static const ResultColumn row_columns[] = {
	RESULT_COLUMN("e.expires_at", TIMESTAMPTZOID, ExpiringRow, expires_at),
	RESULT_COLUMN("e.id", INT8OID, ExpiringRow, id),
	RESULT_COLUMN("e.turn", INT4OID, ExpiringRow, turn),
	RESULT_COLUMN("e.expires_at <= $2", BOOLOID, ExpiringRow, is_over),
	RESULT_COLUMN("e.expires_at <= $2 AND EXISTS (SELECT FROM $t.flex_outbox_requests AS o WHERE o.id = e.id "
				  "AND o.state = 'pending' AND o.expires_at = e.expires_at OFFSET 0)",
				  BOOLOID, ExpiringRow, is_pending),
};

/*
 * List up to $5 rows behind ($1, $3, $4) whose time has come at $2, and the first later one, which tells
 * the caller when to look again.
 */
static Statement list_rows = {
	.sql = "SELECT $result FROM ((SELECT * FROM $t.flex_outbox_expiring "
		   "WHERE (expires_at, id, turn) > ($1, $3, $4) AND expires_at <= $2 "
		   "ORDER BY expires_at, id, turn LIMIT $5) UNION ALL (SELECT * FROM $t.flex_outbox_expiring "
		   "WHERE expires_at > $2 ORDER BY expires_at, id, turn LIMIT 1)) AS e ORDER BY e.expires_at, e.id, e.turn",
	.types = {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID},
	.result = row_columns,
	.result_count = lengthof(row_columns),
};

/*
 * Read the rows behind a given one whose time has come, "most" of them at most, in their order, and after
 * them the first row whose time is still to come.  Return an array, allocated in the current memory
 * context, and its length in *count.
 */
ExpiringRow *
flex_expiring_rows(const ExpiringRow *behind, TimestampTz now, int most, int *count)
{
	Datum values[] = {TimestampTzGetDatum(behind->expires_at), TimestampTzGetDatum(now), Int64GetDatum(behind->id),
					  Int32GetDatum(behind->turn), Int32GetDatum(most)};
	ExpiringRow *rows;

	*count = (int) flex_statement_execute(&list_rows, values, NULL);
	rows = palloc0(sizeof(ExpiringRow) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		flex_statement_read(&list_rows, i, &rows[i]);
	return rows;
}

/* Rows that another sender has locked are skipped: that sender deletes them. */
static Statement delete_rows = {
	.sql = "DELETE FROM $t.flex_outbox_expiring WHERE ctid = ANY (ARRAY(SELECT d.ctid "
		   "FROM unnest($1, $2, $3) AS s(expires_at, id, turn), LATERAL (SELECT e.ctid "
		   "FROM $t.flex_outbox_expiring AS e WHERE e.expires_at = s.expires_at AND e.id = s.id AND e.turn = s.turn "
		   "FOR UPDATE SKIP LOCKED) AS d))",
	.types = {TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT4ARRAYOID},
};

/* Delete rows that have been processed. */
void
flex_expiring_delete(const ExpiringRow *rows, int count)
{
	Datum *columns[3];
	Datum values[3];

	for (int i = 0; i < 3; i++)
		columns[i] = palloc(sizeof(Datum) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		columns[0][i] = TimestampTzGetDatum(rows[i].expires_at);
		columns[1][i] = Int64GetDatum(rows[i].id);
		columns[2][i] = Int32GetDatum(rows[i].turn);
	}
	values[0] = flex_statement_array(TIMESTAMPTZOID, columns[0], count);
	values[1] = flex_statement_array(INT8OID, columns[1], count);
	values[2] = flex_statement_array(INT4OID, columns[2], count);
	flex_statement_execute(&delete_rows, values, NULL);
}

/* Without this, rows with times in the far future would outlive their requests, and accumulate. */
static Statement forget_rows = {
	.sql = "DELETE FROM $t.flex_outbox_expiring WHERE ctid = ANY (ARRAY(SELECT d.ctid "
		   "FROM $t.flex_outbox_requests AS o, LATERAL (SELECT e.ctid FROM $t.flex_outbox_expiring AS e "
		   "WHERE e.expires_at = o.expires_at AND e.id = o.id FOR UPDATE SKIP LOCKED) AS d WHERE o.id = ANY ($1)))",
	.types = {INT8ARRAYOID},
};

/* Delete the rows of requests, given as an int8[] of ids, that are about to be deleted. */
void
flex_expiring_forget(Datum ids)
{
	flex_statement_execute(&forget_rows, &ids, NULL);
}
