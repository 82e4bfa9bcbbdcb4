/*
 * waiting_rows.c
 *		Pending requests: new ones, and those that wait for a time.
 *
 * New requests are read along the index (lane, enqueued_xid, id), from the position that the
 * caller has reached before.  The indexed columns never change, so requests that have been
 * sent, and their dead versions that an old snapshot retains, all lie before that position
 * and are not read again.
 *
 * Requests that wait for a time are in the table flex_outbox_later.
 *
 * Unless noted otherwise, the caller must have connected to SPI, and called
 * flex_outbox_enter().
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "outbox/access.h"
#include "outbox/statements.h"
#include "outbox/waiting_rows.h"

#define PAGES_SWEPT 16 /* by one call of flex_later_sweep() */

static int
compare_xids(const void *a, const void *b)
{
	uint64 left = *(const uint64 *) a;
	uint64 right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

/*
 * Return the full number of a transaction of a snapshot: the greatest number with these low 32 bits
 * that does not exceed the next one to be assigned.
 */
static uint64
full_number(TransactionId xid, FullTransactionId next)
{
	uint64 full = U64FromFullTransactionId(next);

	return full - (uint32) ((uint32) full - xid);
}

/*
 * Return the transactions in progress, allocated in the current memory context.  Whatever any
 * other transaction before "next" has enqueued is visible to a later statement's snapshot.
 */
RunningTransactions
flex_running_transactions(void)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	FullTransactionId next = ReadNextFullTransactionId();
	FullTransactionId own = GetTopFullTransactionIdIfAny();
	RunningTransactions running = {.next = full_number(snapshot->xmax, next)};

	running.xids = palloc(sizeof(uint64) * (snapshot->xcnt + 1));
	for (uint32 i = 0; i < snapshot->xcnt; i++)
		running.xids[running.count++] = full_number(snapshot->xip[i], next);
	/* A snapshot does not list the transaction that takes it. */
	if (FullTransactionIdIsValid(own))
		running.xids[running.count++] = U64FromFullTransactionId(own);
	UnregisterSnapshot(snapshot);
	qsort(running.xids, running.count, sizeof(uint64), compare_xids);
	return running;
}

static const ResultColumn fresh_columns[] = {
	RESULT_COLUMN("s.number::integer - 1", INT4OID, FreshRow, stretch),
	RESULT_COLUMN("r.enqueued_xid", XID8OID, FreshRow, at.xid),
	RESULT_COLUMN("r.id", INT8OID, FreshRow, at.id),
	RESULT_COLUMN("r.state = 'pending'", BOOLOID, FreshRow, is_pending),
};

/*
 * Read the requests of all stretches.  The row comparison and the LIMIT of each stretch make it a
 * short scan of the index (lane, enqueued_xid, id).  The state is returned and not a condition:
 * otherwise the LIMIT would not bound the scan, and the caller would not know how far it went.
 */
static Statement read_fresh = {
	.sql = "SELECT $result FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY AS s(lane, xid, id, before, most, number), "
		   "LATERAL (SELECT o.enqueued_xid, o.id, o.state FROM $t.flex_outbox_requests AS o WHERE o.lane = s.lane "
		   "AND (o.enqueued_xid, o.id) > (s.xid, s.id) AND o.enqueued_xid < s.before "
		   "ORDER BY o.enqueued_xid, o.id LIMIT s.most) AS r",
	.types = {INT4ARRAYOID, XID8ARRAYOID, INT8ARRAYOID, XID8ARRAYOID, INT4ARRAYOID},
	.result = fresh_columns,
	.result_count = lengthof(fresh_columns),
};

/*
 * Read the requests of stretches, each in the order of its positions.  Return an array, allocated in
 * the current memory context, and its length in *count.
 */
FreshRow *
flex_fresh_rows(const Stretch *stretches, int stretch_count, int *count)
{
	Datum *columns[5];
	Datum values[5];
	FreshRow *rows;

	for (int i = 0; i < 5; i++)
		columns[i] = palloc(sizeof(Datum) * Max(stretch_count, 1));
	for (int i = 0; i < stretch_count; i++)
	{
		columns[0][i] = Int32GetDatum(stretches[i].lane);
		columns[1][i] = Int64GetDatum((int64) stretches[i].behind.xid);
		columns[2][i] = Int64GetDatum(stretches[i].behind.id);
		columns[3][i] = Int64GetDatum((int64) stretches[i].end);
		columns[4][i] = Int32GetDatum(stretches[i].most);
	}
	values[0] = flex_statement_array(INT4OID, columns[0], stretch_count);
	values[1] = flex_statement_array(XID8OID, columns[1], stretch_count);
	values[2] = flex_statement_array(INT8OID, columns[2], stretch_count);
	values[3] = flex_statement_array(XID8OID, columns[3], stretch_count);
	values[4] = flex_statement_array(INT4OID, columns[4], stretch_count);
	*count = (int) flex_statement_execute(&read_fresh, values, NULL);
	rows = palloc0(sizeof(FreshRow) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		flex_statement_read(&read_fresh, i, &rows[i]);
	return rows;
}

static const ResultColumn later_columns[] = {
	RESULT_COLUMN("s.number::integer - 1", INT4OID, LaterRow, stretch),
	RESULT_COLUMN("r.id", INT8OID, LaterRow, id),
	RESULT_COLUMN("r.turn", INT4OID, LaterRow, turn),
	RESULT_COLUMN("r.due_at", TIMESTAMPTZOID, LaterRow, due_at),
	RESULT_COLUMN("r.held_since", TIMESTAMPTZOID, LaterRow, held_since),
};

/* The waiting requests of a lane s that satisfy a condition, the earliest first. */
#define LATER_ROWS(condition, limit)                                                                                   \
	"(SELECT l.id, l.turn, l.due_at, l.held_since FROM $t.flex_outbox_later AS l WHERE l.lane = s.lane "               \
	"AND l.due_at >= s.due_from AND " condition " ORDER BY l.due_at, l.id LIMIT " limit ")"

static Statement read_later = {
	.sql = "SELECT $result FROM unnest($1, $2, $3) WITH ORDINALITY AS s(lane, due_from, most, number), LATERAL "
		   "(" LATER_ROWS("l.due_at <= $4", "s.most") " UNION ALL " LATER_ROWS("l.due_at > $4",
																			   "1") " ORDER BY due_at, id) AS r",
	.types = {INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, TIMESTAMPTZOID},
	.result = later_columns,
	.result_count = lengthof(later_columns),
};

/*
 * Read the requests of lanes that wait for a time: of each lane those that are due by "now", the earliest
 * first, and the first later one.  Return an array, allocated in the current memory context, and its
 * length in *count.
 */
LaterRow *
flex_later_rows(const LaterStretch *stretches, int stretch_count, TimestampTz now, int *count)
{
	Datum *columns[3];
	Datum values[4];
	LaterRow *rows;

	for (int i = 0; i < 3; i++)
		columns[i] = palloc(sizeof(Datum) * Max(stretch_count, 1));
	for (int i = 0; i < stretch_count; i++)
	{
		columns[0][i] = Int32GetDatum(stretches[i].lane);
		columns[1][i] = TimestampTzGetDatum(stretches[i].from);
		columns[2][i] = Int32GetDatum(stretches[i].most);
	}
	values[0] = flex_statement_array(INT4OID, columns[0], stretch_count);
	values[1] = flex_statement_array(TIMESTAMPTZOID, columns[1], stretch_count);
	values[2] = flex_statement_array(INT4OID, columns[2], stretch_count);
	values[3] = TimestampTzGetDatum(now);
	*count = (int) flex_statement_execute(&read_later, values, NULL);
	rows = palloc0(sizeof(LaterRow) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		flex_statement_read(&read_later, i, &rows[i]);
	return rows;
}

static Statement add_later = {
	.sql = "INSERT INTO $t.flex_outbox_later (lane, due_at, id, turn) VALUES ($1, $2, $3, $4) "
		   "ON CONFLICT DO NOTHING",
	.types = {INT4OID, TIMESTAMPTZOID, INT8OID, INT4OID},
};

/*
 * Insert a row by which a pending request waits for a time in the given turn, unless there is one
 * already.  This function connects to SPI and calls flex_outbox_enter() itself.
 */
void
flex_later_add(int lane, TimestampTz due_at, int64 id, int turn)
{
	Datum values[] = {Int32GetDatum(lane), TimestampTzGetDatum(due_at), Int64GetDatum(id), Int32GetDatum(turn)};
	OutboxAccess access;

	SPI_connect();
	flex_outbox_enter(&access);
	flex_statement_execute(&add_later, values, NULL);
	flex_outbox_leave(&access);
	SPI_finish();
}

/* Rows that another session has locked are skipped, so that a sender does not wait for it. */
static Statement release_later = {
	.sql = "UPDATE $t.flex_outbox_later SET due_at = clock_timestamp(), cause = NULL WHERE ctid = ANY (ARRAY("
		   "SELECT ctid FROM $t.flex_outbox_later WHERE lane = $1 AND cause IS NOT NULL FOR UPDATE SKIP LOCKED))",
	.types = {INT4OID},
};

/* Make those requests of a lane due that wait for an operator. */
void
flex_later_release(int lane)
{
	Datum values[] = {Int32GetDatum(lane)};

	flex_statement_execute(&release_later, values, NULL);
}

/* Delete the void rows in a range of TIDs, which is a TID range scan. */
static Statement sweep_later = {
	.sql = "DELETE FROM $t.flex_outbox_later WHERE ctid = ANY (ARRAY(SELECT l.ctid FROM $t.flex_outbox_later AS l "
		   "WHERE l.ctid >= $1 AND l.ctid < $2 AND NOT EXISTS (SELECT FROM $t.flex_outbox_requests AS o "
		   "WHERE o.id = l.id AND o.state = 'pending' AND o.turn <= l.turn OFFSET 0) FOR UPDATE OF l SKIP LOCKED))",
	.types = {TIDOID, TIDOID},
};

/*
 * Delete the void rows of flex_outbox_later, that is, those of requests that were deleted, are not
 * pending, or are in a later turn.  One call reads PAGES_SWEPT pages at most.  They are chosen at
 * random, because many senders are short-lived, and could not remember how far they have come.
 */
void
flex_later_sweep(void)
{
	Relation table = table_open(get_relname_relid("flex_outbox_later", flex_outbox_schema(false)), RowExclusiveLock);
	BlockNumber pages = RelationGetNumberOfBlocks(table);
	BlockNumber first = 0;
	ItemPointerData bounds[2];
	Datum values[] = {PointerGetDatum(&bounds[0]), PointerGetDatum(&bounds[1])};

	table_close(table, NoLock);
	if (pages > PAGES_SWEPT)
		first = (BlockNumber) pg_prng_uint64_range(&pg_global_prng_state, 0, pages - PAGES_SWEPT);
	ItemPointerSet(&bounds[0], first, 0);
	ItemPointerSet(&bounds[1], first + PAGES_SWEPT, 0);
	flex_statement_execute(&sweep_later, values, NULL);
}

/*
 * Delete rows by their keys.  A row that is locked is skipped: the session that has locked it deletes
 * it.  A row of a later turn stays, even with the same time, because it is the only record that the
 * request waits.  The parameters $5 and $6 are unused; they are there for execute_with_keys().
 */
static Statement delete_later = {
	.sql = "DELETE FROM $t.flex_outbox_later WHERE ctid = ANY (ARRAY(SELECT d.ctid "
		   "FROM unnest($1, $2, $3, $4) AS s(lane, due_at, id, turn), LATERAL (SELECT l.ctid "
		   "FROM $t.flex_outbox_later AS l WHERE l.lane = s.lane AND l.due_at = s.due_at AND l.id = s.id "
		   "AND l.turn <= s.turn FOR UPDATE SKIP LOCKED) AS d))",
	.types = {INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT4ARRAYOID, BOOLARRAYOID, TIMESTAMPTZARRAYOID},
};

#define KEY_COLUMNS 6

/* Execute a statement whose parameters are arrays, one for each member of LaterKey. */
static void
execute_with_keys(Statement *statement, const LaterKey *keys, int count)
{
	Datum *columns[KEY_COLUMNS];
	Datum values[KEY_COLUMNS];

	for (int i = 0; i < KEY_COLUMNS; i++)
		columns[i] = palloc(sizeof(Datum) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		columns[0][i] = Int32GetDatum(keys[i].lane);
		columns[1][i] = TimestampTzGetDatum(keys[i].due_at);
		columns[2][i] = Int64GetDatum(keys[i].id);
		columns[3][i] = Int32GetDatum(keys[i].turn);
		columns[4][i] = BoolGetDatum(keys[i].is_held);
		columns[5][i] = TimestampTzGetDatum(keys[i].held_since);
	}
	values[0] = flex_statement_array(INT4OID, columns[0], count);
	values[1] = flex_statement_array(TIMESTAMPTZOID, columns[1], count);
	values[2] = flex_statement_array(INT8OID, columns[2], count);
	values[3] = flex_statement_array(INT4OID, columns[3], count);
	values[4] = flex_statement_array(BOOLOID, columns[4], count);
	values[5] = flex_statement_array(TIMESTAMPTZOID, columns[5], count);
	flex_statement_execute(statement, values, NULL);
}

/* Delete the rows of requests that no longer wait: they are claimed, or a decision has changed them. */
void
flex_later_delete(const LaterKey *keys, int count)
{
	execute_with_keys(&delete_later, keys, count);
}

/*
 * A request that is held gets a cause, by which flex_later_release() finds it: always 55000
 * (object_not_in_prerequisite_state), whatever the operator has to mend.
 */
static Statement park_later = {
	.sql = "INSERT INTO $t.flex_outbox_later (lane, due_at, id, turn, cause, held_since) "
		   "SELECT s.lane, s.due_at, s.id, s.turn, CASE WHEN s.is_held THEN '55000' END, CASE WHEN s.is_held THEN "
		   "s.held_since END "
		   "FROM unnest($1, $2, $3, $4, $5, $6) AS s(lane, due_at, id, turn, is_held, held_since)",
	.types = {INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT4ARRAYOID, BOOLARRAYOID, TIMESTAMPTZARRAYOID},
};

/*
 * Insert rows by which pending requests wait for a time.  Those that are held become due earlier if
 * flex_later_release() is called for their lane.
 */
void
flex_later_park(const LaterKey *keys, int count)
{
	execute_with_keys(&park_later, keys, count);
}
