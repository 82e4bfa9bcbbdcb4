/*
 * forgetting.c
 *		Requests that finished long ago: found by id, deleted, or set aside.
 *
 * They are looked at once, by id upwards from a mark that is kept.  What cannot be
 * deleted then, as it has not finished or something refers to it, is set aside in
 * flex_outbox_leftovers, with the time to look again; so no index has the time at which
 * requests finish, and what is kept is not read again and again.
 *
 * A transaction that is open longer than requests are kept may commit some below the mark.
 * So it is known below which id no open transaction has any: the next id of some moment,
 * once all transactions of that moment have ended.  A mark that has passed that goes back
 * there once, which costs little, as most of what lies there is gone.  An id is taken after
 * its transaction's xid (insertion.c).
 *
 * The caller has connected to SPI, and stands between flex_outbox_enter() and
 * flex_outbox_leave().
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

#define YOUNG_MINUTES 1 /* a request that waits holds the mark for so long at least */

/* The next id, read before the snapshot that says which transactions are open. */
static Statement read_next_id = {
	.sql = "SELECT last_value + 1 FROM $t.flex_outbox_id_seq",
};

static const ResultColumn mark_columns[] = {
	RESULT_COLUMN("f.below", INT8OID, ForgettingMark, below),
	RESULT_COLUMN("f.safe_below", INT8OID, ForgettingMark, safe_below),
	RESULT_COLUMN("EXISTS (SELECT FROM $t.flex_outbox_leftovers WHERE again_at <= now())", BOOLOID, ForgettingMark,
				  any_left),
};

/* A sequence that was set back takes the mark with it. */
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

/* Our own number is above those of all that had taken an id by then: a snapshot leaves out the newest. */
static Statement note_next_id = {
	.sql = "UPDATE $t.flex_outbox_forgetting SET noted_below = $1, noted_xid = pg_current_xact_id() WHERE only_row "
		   "AND noted_xid <= pg_snapshot_xmin(pg_current_snapshot())",
	.types = {INT8OID},
};

/* Of $1, the retention in minutes, and $2, YOUNG_MINUTES.  Times are finite: a request may wait for ever. */
#define MAY_GO                                                                                                         \
	"o.id IS NULL OR (o.finished_at < now() - $1 * interval '1 minute' AND o.state <> 'uncertain' AND NOT EXISTS "     \
	"(SELECT FROM $t.flex_outbox_callbacks AS c WHERE c.id = o.id AND c.due_at IS NOT NULL))"
#define LOOK_AGAIN                                                                                                     \
	"greatest(now() + interval '1 minute', CASE WHEN o.finished_at IS NULL "                                           \
	"THEN least(greatest(o.run_at, now()), now() + interval '30 days') WHEN o.state = 'uncertain' THEN now() "         \
	"ELSE o.finished_at END + greatest($1, $2) * interval '1 minute')"

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

static Statement list_left = {
	.sql = "SELECT $result FROM (SELECT id FROM $t.flex_outbox_leftovers WHERE again_at <= now() ORDER BY again_at "
		   "LIMIT $3) AS l LEFT JOIN $t.flex_outbox_requests AS o ON o.id = l.id",
	.types = {INT4OID, INT4OID, INT4OID},
	.result = left_columns,
	.result_count = lengthof(left_columns),
};

/*
 * See, without writing anything, whether there is something to forget, and where.
 * Nobody is waited for.
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

/* Become the one that forgets, until the transaction ends; false when somebody else does. */
bool
flex_forgetting_lock(const ForgettingMark *mark)
{
	Datum values[] = {Int64GetDatum(mark->next_id)};

	if (flex_statement_execute(&lock_mark, NULL, NULL) == 0)
		return false;
	(void) flex_statement_execute(&note_next_id, values, NULL);
	return true;
}

/* The rows of a list, in the current context. */
static OldRequest *
read_list(const Statement *statement, uint64 count)
{
	OldRequest *list = palloc0(sizeof(OldRequest) * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
		flex_statement_read(statement, i, &list[i]);
	return list;
}

/* The next requests from the mark on. */
OldRequest *
flex_forgetting_next(const ForgettingMark *mark, int retention, int limit, int *count)
{
	Datum values[] = {Int32GetDatum(retention), Int32GetDatum(YOUNG_MINUTES), Int64GetDatum(mark->below),
					  Int64GetDatum(mark->next_id), Int32GetDatum(limit)};

	*count = (int) flex_statement_execute(&list_next, values, NULL);
	return read_list(&list_next, *count);
}

/* Requests that were set aside and are to be looked at again; one that is gone is to be deleted, too. */
OldRequest *
flex_forgetting_left(int retention, int limit, int *count)
{
	Datum values[] = {Int32GetDatum(retention), Int32GetDatum(YOUNG_MINUTES), Int32GetDatum(limit)};

	*count = (int) flex_statement_execute(&list_left, values, NULL);
	return read_list(&list_left, *count);
}

/* Numbers of 64 bits, ids or times, as a parameter. */
static Datum
array_of(const int64 *numbers, Oid type, int count)
{
	Datum *values = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(values, count, type, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* The first column of what a statement has returned. */
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

/* Lock requests; returns how many, with their ids in ids[].  Nobody is waited for who has locked one. */
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
 * Which of the requests that were picked may still go: one may have been retried before it
 * was locked.  Returns how many, with their ids in ids[].
 */
int
flex_forgetting_recheck(int retention, int64 *ids, int count)
{
	Datum values[] = {Int32GetDatum(retention), Int32GetDatum(YOUNG_MINUTES), array_of(ids, INT8OID, count)};

	return read_ids(flex_statement_execute(&recheck, values, NULL), ids);
}

/* Foreign keys by which a deletion writes tables of others, also those that hang on these. */
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
 * A table of a role that is neither a superuser nor the outbox's owner, which a deletion would
 * write: its triggers would run with the rights of the outbox's owner.  NULL: there is none.
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

/* Delete requests, and that they expire; returns how many.  What others hang on the table may raise any error. */
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

/* Delete what is kept beside requests that are gone. */
void
flex_forgetting_delete_traces(const int64 *ids, int count)
{
	Datum values[] = {array_of(ids, INT8OID, count)};

	(void) flex_statement_execute(&delete_callbacks, values, NULL);
	(void) flex_statement_execute(&delete_leftovers, values, NULL);
}

/* Which of some requests are there; returns how many, with their ids in ids[]. */
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

/* Set requests aside, each to be looked at again at its time. */
void
flex_forgetting_set_aside(const int64 *ids, const TimestampTz *again_at, int count)
{
	Datum values[] = {array_of(ids, INT8OID, count), array_of(again_at, TIMESTAMPTZOID, count)};

	if (count > 0)
		(void) flex_statement_execute(&set_aside, values, NULL);
}

/* Each time it takes twice as long: what refers to them may do so for years. */
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

/* All below the mark has been deleted or set aside. */
void
flex_forgetting_advance(const ForgettingMark *mark)
{
	Datum values[] = {Int64GetDatum(mark->below), Int64GetDatum(mark->safe_below)};

	(void) flex_statement_execute(&advance, values, NULL);
}
