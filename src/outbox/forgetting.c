/*
 * forgetting.c
 *		Deletion of requests that finished long ago: the statements.
 *
 * Requests are examined in the order of their ids, from a stored mark on.  One that cannot be
 * deleted yet is set aside in flex_outbox_leftovers, with the time to examine it again.  So no
 * index on the time of finishing is needed, and kept requests are not read repeatedly.
 *
 * A transaction that lasts longer than requests are kept may commit requests below the mark.
 * Therefore safe_below is stored, too.  It is a former next id whose contemporary transactions
 * have all ended; they assign their XIDs before they take ids (insertion.c).  When it grows,
 * a mark beyond the old value goes back to that once, which costs little because most of what
 * lies there has been deleted.
 *
 * The caller must have connected to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "outbox/access.h"
#include "outbox/expiring_rows.h"
#include "outbox/forgetting.h"
#include "outbox/statements.h"

#define YOUNG_MINUTES 1 /* a younger request stops the mark, even if the retention is shorter */

/*
 * Read the next id.  This must precede read_mark and note_next_id, whose snapshots then list all
 * transactions that have taken a lower id and are still in progress.
 */
static Statement read_next_id = {
	.sql = "SELECT last_value + 1 FROM $t.flex_outbox_id_seq",
};

static const ResultColumn mark_columns[] = {
	RESULT_COLUMN("f.below", INT8OID, ForgettingMark, below),
	RESULT_COLUMN("f.safe_below", INT8OID, ForgettingMark, safe_below),
	RESULT_COLUMN("EXISTS (SELECT FROM $t.flex_outbox_leftovers WHERE again_at <= now())", BOOLOID, ForgettingMark,
				  any_left),
};

/*
 * Read the mark; $1 is the next id.  If no transaction from before noted_xid is in progress any more,
 * noted_below has become the safe id, and the mark goes back to the former one.  If the sequence was
 * set back below the mark, begin at 0.
 */
static Statement read_mark = {
	.sql = "SELECT $result FROM (SELECT s.safe AS safe_below, CASE WHEN f.below > $1 THEN 0 "
		   "WHEN s.safe > f.safe_below THEN least(f.below, f.safe_below) ELSE f.below END AS below "
		   "FROM $t.flex_outbox_forgetting AS f, LATERAL (SELECT CASE "
		   "WHEN f.noted_xid <= pg_snapshot_xmin(now) THEN least(f.noted_below, $1) ELSE least(f.safe_below, $1) END "
		   "AS safe "
		   "FROM pg_current_snapshot() AS now) AS s) AS f",
	.types = {INT8OID},
	.result = mark_columns,
	.result_count = lengthof(mark_columns),
};

/*
 * Note the next id ($1), unless the one noted before is still waiting for transactions to end.  Our
 * own XID is assigned here, after all transactions that had taken a lower id; pg_snapshot_xmax() would
 * not do, because it can be lower than the XID of a transaction in progress.
 */
static Statement note_next_id = {
	.sql = "UPDATE $t.flex_outbox_forgetting SET noted_below = $1, noted_xid = pg_current_xact_id() WHERE only_row "
		   "AND noted_xid <= pg_snapshot_xmin(pg_current_snapshot())",
	.types = {INT8OID},
};

/*
 * True if a request o may be deleted, or no longer exists; and the time at which to examine one again
 * that may not.  $1 is the retention in minutes, $2 YOUNG_MINUTES.  The time is at most 30 days after
 * now for a request that waits, because its run_at may be infinity.
 */
#define MAY_GO                                                                                                         \
	"o.id IS NULL OR (o.finished_at < now() - $1 * interval '1 minute' AND o.state <> 'uncertain' AND NOT EXISTS "     \
	"(SELECT FROM $t.flex_outbox_callbacks AS c WHERE c.id = o.id AND c.due_at IS NOT NULL OFFSET 0))"
#define LOOK_AGAIN                                                                                                     \
	"greatest(now() + interval '1 minute', CASE WHEN o.finished_at IS NULL "                                           \
	"THEN least(greatest(o.run_at, now()), now() + interval '30 days') WHEN o.state = 'uncertain' THEN now() "         \
	"ELSE o.finished_at END + greatest($1, $2) * interval '1 minute')"

StaticAssertDecl(KEEP_NOT == 0 && KEEP_LATER == 1 && KEEP_YOUNG == 2, "the statements return these numbers");

static const ResultColumn old_columns[] = {
	RESULT_COLUMN("o.id", INT8OID, OldRequest, id),
	RESULT_COLUMN("CASE WHEN " MAY_GO " THEN 0 WHEN o.enqueued_at > now() - greatest($1, $2) * interval '1 minute' "
				  "THEN 2 ELSE 1 END",
				  INT4OID, OldRequest, keeping),
	RESULT_COLUMN(LOOK_AGAIN, TIMESTAMPTZOID, OldRequest, again_at),
};

static Statement list_next = {
	.sql = "SELECT $result FROM $t.flex_outbox_requests AS o WHERE o.id >= $3 AND o.id < $4 ORDER BY o.id LIMIT $5",
	.types = {INT4OID, INT4OID, INT8OID, INT8OID, INT4OID},
	.result = old_columns,
	.result_count = lengthof(old_columns),
};

static const ResultColumn left_columns[] = {
	RESULT_COLUMN("l.id", INT8OID, OldRequest, id),
	RESULT_COLUMN("CASE WHEN " MAY_GO " THEN 0 ELSE 1 END", INT4OID, OldRequest, keeping),
	RESULT_COLUMN(LOOK_AGAIN, TIMESTAMPTZOID, OldRequest, again_at),
};

/* List requests that were set aside and are due.  The LEFT JOIN keeps those that no longer exist. */
static Statement list_left = {
	.sql = "SELECT $result FROM (SELECT id FROM $t.flex_outbox_leftovers WHERE again_at <= now() ORDER BY again_at "
		   "LIMIT $3) AS l LEFT JOIN LATERAL (SELECT r.id, r.state, r.run_at, r.finished_at "
		   "FROM $t.flex_outbox_requests AS r WHERE r.id = l.id OFFSET 0) AS o ON true",
	.types = {INT4OID, INT4OID, INT4OID},
	.result = left_columns,
	.result_count = lengthof(left_columns),
};

/*
 * Read the mark into *mark, and return true if a request may have to be deleted or set aside.
 * Nothing is written or locked.
 */
bool
flex_forgetting_look(ForgettingMark *mark, int retention)
{
	Datum next_id;
	int count;
	OldRequest *first;

	memset(mark, 0, sizeof(ForgettingMark));
	if (flex_statement_execute(&read_next_id, NULL, NULL) == 0)
		return false;
	next_id = flex_statement_value(0, 1);
	mark->next_id = DatumGetInt64(next_id);
	if (flex_statement_execute(&read_mark, &next_id, NULL) == 0)
		return false;
	flex_statement_read(&read_mark, 0, mark);
	if (mark->any_left)
		return true;
	first = flex_forgetting_next(mark, retention, 1, &count);
	return count > 0 && first->keeping != KEEP_YOUNG;
}

static Statement lock_mark = {
	.sql = "SELECT FROM $t.flex_outbox_forgetting WHERE only_row FOR NO KEY UPDATE SKIP LOCKED",
};

/*
 * Lock the mark until the transaction ends, so that no other session deletes requests.  Return
 * false, without waiting, if another session has locked it.
 */
bool
flex_forgetting_lock(const ForgettingMark *mark)
{
	Datum values[] = {Int64GetDatum(mark->next_id)};

	if (flex_statement_execute(&lock_mark, NULL, NULL) == 0)
		return false;
	(void) flex_statement_execute(&note_next_id, values, NULL);
	return true;
}

/* Read the rows that a statement has returned into an array, allocated in the current memory context. */
static OldRequest *
read_list(const Statement *statement, uint64 count)
{
	OldRequest *list = palloc0(sizeof(OldRequest) * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
		flex_statement_read(statement, i, &list[i]);
	return list;
}

/*
 * Examine the next requests from the mark on, in the order of their ids.  The retention is in
 * minutes, as in the other functions.  The result is allocated in the current memory context.
 */
OldRequest *
flex_forgetting_next(const ForgettingMark *mark, int retention, int limit, int *count)
{
	Datum values[] = {Int32GetDatum(retention), Int32GetDatum(YOUNG_MINUTES), Int64GetDatum(mark->below),
					  Int64GetDatum(mark->next_id), Int32GetDatum(limit)};

	*count = (int) flex_statement_execute(&list_next, values, NULL);
	return read_list(&list_next, *count);
}

/*
 * Examine requests that were set aside and are due.  One that no longer exists is returned as
 * KEEP_NOT, so that its row of flex_outbox_leftovers is deleted.
 */
OldRequest *
flex_forgetting_left(int retention, int limit, int *count)
{
	Datum values[] = {Int32GetDatum(retention), Int32GetDatum(YOUNG_MINUTES), Int32GetDatum(limit)};

	*count = (int) flex_statement_execute(&list_left, values, NULL);
	return read_list(&list_left, *count);
}

/* Make an array of int8 or timestamptz values, as a parameter, in the current memory context. */
static Datum
array_of(const int64 *numbers, Oid type, int count)
{
	Datum *values = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(values, count, type, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Store the ids that a statement has returned, and return their number. */
static int
read_ids(uint64 count, int64 *ids)
{
	for (uint64 i = 0; i < count; i++)
		ids[i] = DatumGetInt64(flex_statement_value(i, 1));
	return (int) count;
}

static Statement pick = {
	.sql = "SELECT id FROM $t.flex_outbox_requests WHERE id = ANY ($1) FOR UPDATE SKIP LOCKED",
	.types = {INT8ARRAYOID},
};

static Statement find = {
	.sql = "SELECT id FROM $t.flex_outbox_requests WHERE id = ANY ($1)",
	.types = {INT8ARRAYOID},
};

/*
 * Lock requests until the transaction ends, except those that another session has locked.  Return
 * how many were locked, with their ids in ids[], which is overwritten.
 */
int
flex_forgetting_pick(int64 *ids, int count)
{
	Datum values[] = {array_of(ids, INT8OID, count)};

	return read_ids(flex_statement_execute(&pick, values, NULL), ids);
}

static Statement recheck = {
	.sql = "SELECT o.id FROM $t.flex_outbox_requests AS o WHERE o.id = ANY ($3) AND (" MAY_GO ")",
	.types = {INT4OID, INT4OID, INT8ARRAYOID},
};

/*
 * Find out which of the locked requests may still be deleted: one may have been retried before it
 * was locked.  Return how many, with their ids in ids[], which is overwritten.
 */
int
flex_forgetting_recheck(int retention, int64 *ids, int count)
{
	Datum values[] = {Int32GetDatum(retention), Int32GetDatum(YOUNG_MINUTES), array_of(ids, INT8OID, count)};

	return read_ids(flex_statement_execute(&recheck, values, NULL), ids);
}

/*
 * Find a table that a deletion would write through foreign keys (ON DELETE CASCADE, SET NULL or SET
 * DEFAULT), directly or through other tables, and that a role owns which is neither $2 nor a superuser.
 */
static Statement find_acting_key = {
	.sql = "WITH RECURSIVE acting AS ("
		   "SELECT k.conrelid FROM pg_constraint AS k WHERE k.confrelid = $1 AND k.contype = 'f' "
		   "AND k.confdeltype IN ('c', 'n', 'd') "
		   "UNION SELECT k.conrelid FROM acting AS a JOIN pg_constraint AS k ON k.confrelid = a.conrelid "
		   "AND k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd')) "
		   "SELECT a.conrelid::regclass::text FROM acting AS a JOIN pg_class AS c ON c.oid = a.conrelid "
		   "JOIN pg_roles AS r ON r.oid = c.relowner WHERE NOT r.rolsuper AND c.relowner <> $2 LIMIT 1",
	.types = {OIDOID, OIDOID},
};

/*
 * Return the name of a table that a deletion would write, of a role that is neither a superuser nor
 * the outbox's owner, or NULL if there is none.  With such a table nothing may be deleted, because
 * that role's triggers would run in a session with the rights of the outbox's owner.
 */
char *
flex_forgetting_find_acting_key(void)
{
	Oid table = get_relname_relid("flex_outbox_requests", flex_outbox_schema(false));
	Datum values[] = {ObjectIdGetDatum(table), ObjectIdGetDatum(GetUserId())};

	if (flex_statement_execute(&find_acting_key, values, NULL) == 0)
		return NULL;
	return TextDatumGetCString(flex_statement_value(0, 1));
}

static Statement delete_requests = {
	.sql = "DELETE FROM $t.flex_outbox_requests WHERE id = ANY ($1)",
	.types = {INT8ARRAYOID},
};

/*
 * Delete requests and their rows of flex_outbox_expiring.  Return how many requests were deleted.
 * Users' triggers, rules and constraints may raise any error, or keep requests silently.
 */
int
flex_forgetting_delete(const int64 *ids, int count)
{
	Datum values[] = {array_of(ids, INT8OID, count)};

	flex_expiring_forget(values[0]);
	return (int) flex_statement_execute(&delete_requests, values, NULL);
}

static Statement delete_callbacks = {
	.sql = "DELETE FROM $t.flex_outbox_callbacks WHERE id = ANY ($1)",
	.types = {INT8ARRAYOID},
};

static Statement delete_leftovers = {
	.sql = "DELETE FROM $t.flex_outbox_leftovers WHERE id = ANY ($1)",
	.types = {INT8ARRAYOID},
};

/* Delete the callbacks and the leftovers' rows of requests that have been deleted. */
void
flex_forgetting_delete_traces(const int64 *ids, int count)
{
	Datum values[] = {array_of(ids, INT8OID, count)};

	(void) flex_statement_execute(&delete_callbacks, values, NULL);
	(void) flex_statement_execute(&delete_leftovers, values, NULL);
}

/* Find out which requests exist.  Return how many, with their ids in ids[], which is overwritten. */
int
flex_forgetting_find(int64 *ids, int count)
{
	Datum values[] = {array_of(ids, INT8OID, count)};

	return read_ids(flex_statement_execute(&find, values, NULL), ids);
}

static Statement set_aside = {
	.sql = "INSERT INTO $t.flex_outbox_leftovers (id, again_at) SELECT * FROM unnest($1, $2) "
		   "ON CONFLICT (id) DO UPDATE SET again_at = excluded.again_at",
	.types = {INT8ARRAYOID, TIMESTAMPTZARRAYOID},
};

/* Set requests aside, each to be examined again at its own time. */
void
flex_forgetting_set_aside(const int64 *ids, const TimestampTz *again_at, int count)
{
	Datum values[] = {array_of(ids, INT8OID, count), array_of(again_at, TIMESTAMPTZOID, count)};

	if (count > 0)
		(void) flex_statement_execute(&set_aside, values, NULL);
}

/*
 * The time until the next attempt doubles with each, from an hour to 30 days, because a foreign key
 * may refer to a request for years.
 */
static Statement put_off = {
	.sql = "INSERT INTO $t.flex_outbox_leftovers AS l (id, again_at, tries) SELECT id, now() + interval '1 hour', 1 "
		   "FROM unnest($1) AS u (id) ON CONFLICT (id) DO UPDATE SET tries = l.tries + 1, "
		   "again_at = now() + least(power(2, least(l.tries, 20)), 720) * interval '1 hour'",
	.types = {INT8ARRAYOID},
};

/* Set requests aside that could not be deleted. */
void
flex_forgetting_put_off(const int64 *ids, int count)
{
	Datum values[] = {array_of(ids, INT8OID, count)};

	if (count > 0)
		(void) flex_statement_execute(&put_off, values, NULL);
}

static Statement advance = {
	.sql = "UPDATE $t.flex_outbox_forgetting SET below = $1, safe_below = $2 WHERE only_row AND (below, safe_below) <> "
		   "($1, $2)",
	.types = {INT8OID, INT8OID},
};

/* Store the mark.  A mark that has not changed is not written. */
void
flex_forgetting_advance(const ForgettingMark *mark)
{
	Datum values[] = {Int64GetDatum(mark->below), Int64GetDatum(mark->safe_below)};

	(void) flex_statement_execute(&advance, values, NULL);
}
