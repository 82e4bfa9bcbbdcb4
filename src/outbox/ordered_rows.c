/*
 * ordered_rows.c
 *		Requests with an ordering key: which request of a key may be sent, and which is next.
 *
 * Such a request has a row in flex_outbox_ordered from its enqueueing to its end.  A sender
 * claims it only if it is the first of its key; otherwise it forgets the request.  The end of
 * a request inserts a row into flex_outbox_freed_keys.  A sender that sees this row, after the
 * commit, makes the key's next request due.  No request is lost: a sender that forgot one saw
 * an earlier one in its snapshot, so the end of that was committed after the snapshot, and is
 * processed with a snapshot that is still newer.  See "Order" in README.md.
 *
 * Unless noted otherwise, the caller must have connected to SPI, and called
 * flex_outbox_enter().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "outbox/access.h"
#include "outbox/lane_rows.h"
#include "outbox/ordered_rows.h"
#include "outbox/statements.h"

#define KEYS_AT_ONCE 500   /* freed keys that one statement processes */
#define ADDED_AT_ONCE 1000 /* rows that one statement inserts */

/*
 * Try to lock a request's key until the transaction ends.  Return false, without waiting, if another
 * sender has locked it.  The lock is necessary because two senders may take different requests of a
 * key for the first one, and neither sees the other's uncommitted claim.  No SQL command takes a lock
 * with this tag.  Keys with equal hashes share one, which only delays their requests.
 */
bool
flex_ordered_try_lock(const OrderedRequest *request)
{
	uint32 hash = hash_combine(hash_bytes((const unsigned char *) request->key, (int) strlen(request->key)),
							   hash_bytes_uint32((uint32) request->role_id));
	Oid table = get_relname_relid("flex_outbox_ordered", flex_outbox_schema(false));
	LOCKTAG tag;

	Assert(OidIsValid(table));
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, table, hash, 0);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* For each of some keys its first request: one that was claimed before, else the one with the lowest id. */
#define FIRST_OF(keys)                                                                                                 \
	"SELECT k.role_id, k.ordering_key, f.id, f.waits FROM (SELECT DISTINCT s.role_id, s.ordering_key FROM " keys       \
	") AS k, LATERAL (SELECT o.id, o.waits FROM $t.flex_outbox_ordered AS o WHERE o.role_id = k.role_id "              \
	"AND o.ordering_key = k.ordering_key ORDER BY o.waits, o.id LIMIT 1) AS f"

/*
 * True if a row f of flex_outbox_ordered is stale: its request was deleted, or a user has updated it
 * to a final state, so that no flex_ordered_end() will come.
 */
#define IS_STALE                                                                                                       \
	"NOT EXISTS (SELECT FROM $t.flex_outbox_requests AS r WHERE r.id = f.id AND r.role_id = f.role_id "                \
	"AND r.ordering_key = f.ordering_key AND (r.state IN ('pending', 'uncertain') OR EXISTS ("                         \
	"SELECT FROM $t.flex_outbox_callbacks AS c WHERE c.id = r.id AND c.due_at IS NOT NULL OFFSET 0)) OFFSET 0)"

/* The first request of a key. */
typedef struct FirstRequest
{
	OrderedRequest request;
	bool is_asked_for; /* one of the requests that the caller wants to begin */
	bool is_stale;     /* computed only if it is not asked for */
} FirstRequest;

static const ResultColumn first_columns[] = {
	RESULT_COLUMN("f.role_id", INT4OID, FirstRequest, request.role_id),
	RESULT_COLUMN("f.ordering_key", TEXTOID, FirstRequest, request.key),
	RESULT_COLUMN("f.id", INT8OID, FirstRequest, request.id),
	RESULT_COLUMN("f.id = ANY ($3)", BOOLOID, FirstRequest, is_asked_for),
	RESULT_COLUMN("f.id <> ALL ($3) AND " IS_STALE, BOOLOID, FirstRequest, is_stale),
};

/*
 * The row of a request s, with the given value of "waits".  The callers look for both values
 * separately, so that all four columns of the primary key are index conditions; with
 * waits = ANY (...) the planner does not use the third.  OFFSET 0 prevents the subquery from being
 * turned into a join: the plan is made once, perhaps when the table is almost empty.
 */
#define ROW_OF(columns, that_waits)                                                                                    \
	"(SELECT " columns " FROM $t.flex_outbox_ordered AS o WHERE o.role_id = s.role_id "                                \
	"AND o.ordering_key = s.ordering_key AND " that_waits " AND o.id = s.id OFFSET 0)"

#define KEYS_ASKED_FOR "unnest($1, $2) AS s(role_id, ordering_key)"
#define ROWS_TO_BEGIN                                                                                                  \
	"SELECT p.ctid FROM first AS s, LATERAL " ROW_OF("o.ctid", "o.waits") " AS p WHERE s.waits AND s.id = ANY ($3)"

/*
 * Find the first request of each key, and mark it as claimed (waits = false) if it is asked for.  The
 * UPDATE waits for nobody: a row is written only by a session that has locked its pending request.
 */
static Statement begin_requests = {
	.sql = "WITH first AS (" FIRST_OF(KEYS_ASKED_FOR) "), begun AS (UPDATE $t.flex_outbox_ordered AS d "
													  "SET waits = false WHERE d.ctid = ANY (ARRAY(" ROWS_TO_BEGIN
													  "))) SELECT $result FROM first AS f",
	.types = {INT4ARRAYOID, TEXTARRAYOID, INT8ARRAYOID},
	.result = first_columns,
	.result_count = lengthof(first_columns),
};

/* Make arrays of the members of requests, as the parameters of a statement, in the current memory context. */
static void
fill_parameters(Datum *values, const OrderedRequest *requests, int count)
{
	Datum *columns[3];

	for (int i = 0; i < 3; i++)
		columns[i] = palloc(sizeof(Datum) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		columns[0][i] = Int32GetDatum(requests[i].role_id);
		columns[1][i] = CStringGetTextDatum(requests[i].key);
		columns[2][i] = Int64GetDatum(requests[i].id);
	}
	values[0] = flex_statement_array(INT4OID, columns[0], count);
	values[1] = flex_statement_array(TEXTOID, columns[1], count);
	values[2] = flex_statement_array(INT8OID, columns[2], count);
}

/* A retried request may still have its row. */
static Statement add_requests = {
	.sql = "INSERT INTO $t.flex_outbox_ordered (role_id, ordering_key, id) SELECT s.role_id, s.ordering_key, s.id "
		   "FROM unnest($1, $2, $3) AS s(role_id, ordering_key, id) "
		   "WHERE NOT EXISTS " ROW_OF("", "o.waits") " AND NOT EXISTS " ROW_OF("", "NOT o.waits"),
	.types = {INT4ARRAYOID, TEXTARRAYOID, INT8ARRAYOID},
};

/*
 * Insert the rows of requests that have become pending, unless they are there.  This function connects
 * to SPI and calls flex_outbox_enter() itself.
 */
void
flex_ordered_add(const OrderedRequest *requests, int count)
{
	OutboxAccess access;

	SPI_connect();
	flex_outbox_enter(&access);
	for (int i = 0; i < count; i += ADDED_AT_ONCE)
	{
		Datum values[3];

		CHECK_FOR_INTERRUPTS();
		fill_parameters(values, requests + i, Min(count - i, ADDED_AT_ONCE));
		flex_statement_execute(&add_requests, values, NULL);
	}
	flex_outbox_leave(&access);
	SPI_finish();
}

/*
 * Return the ids of those of some requests that are the first of their keys and so may be sent,
 * allocated in the current memory context, and their number in *begun.  Until they end, no other
 * request of their keys is the first.  The caller must have locked the requests' rows, and their keys
 * by flex_ordered_try_lock().  A stale first row of another request is deleted.
 */
int64 *
flex_ordered_begin(const OrderedRequest *requests, int count, int *begun)
{
	Datum values[3];
	int64 *ids = palloc(sizeof(int64) * Max(count, 1));
	OrderedRequest *stale = palloc(sizeof(OrderedRequest) * Max(count, 1));
	int stale_count = 0;
	int keys;

	*begun = 0;
	if (count == 0)
		return ids;
	fill_parameters(values, requests, count);
	keys = (int) flex_statement_execute(&begin_requests, values, NULL);
	Assert(keys <= count);
	for (int i = 0; i < keys; i++)
	{
		FirstRequest first = {0};

		flex_statement_read(&begin_requests, i, &first);
		if (first.is_asked_for)
			ids[(*begun)++] = first.request.id;
		else if (first.is_stale)
			stale[stale_count++] = first.request;
	}
	flex_ordered_end(stale, stale_count);
	return ids;
}

static bool has_freed; /* this transaction has inserted a row into flex_outbox_freed_keys */

#define PLACE_WAITING "SELECT * FROM " ROW_OF("o.ctid", "o.waits") " AS p"
#define PLACE_BEGUN "SELECT * FROM " ROW_OF("o.ctid", "NOT o.waits") " AS p"

/*
 * Delete the rows of requests, and record that their keys are free.  Requests that are pending or
 * uncertain are left out: their callback, for instance, may have retried them.
 */
static Statement end_requests = {
	.sql = "WITH over AS (DELETE FROM $t.flex_outbox_ordered AS d WHERE d.ctid = ANY (ARRAY(SELECT p.ctid "
		   "FROM unnest($1, $2, $3) AS s(role_id, ordering_key, id), "
		   "LATERAL (" PLACE_WAITING " UNION ALL " PLACE_BEGUN ") AS p WHERE NOT EXISTS ("
		   "SELECT FROM $t.flex_outbox_requests AS r WHERE r.id = s.id AND r.role_id = s.role_id "
		   "AND r.ordering_key = s.ordering_key AND r.state IN ('pending', 'uncertain') OFFSET 0))) RETURNING d.*) "
		   "INSERT INTO $t.flex_outbox_freed_keys (at, id, xid, role_id, ordering_key) "
		   "SELECT clock_timestamp(), id, pg_current_xact_id(), role_id, ordering_key FROM over",
	.types = {INT4ARRAYOID, TEXTARRAYOID, INT8ARRAYOID},
};

/* Record the end of requests, after that of their callbacks: the next ones of their keys may be sent. */
void
flex_ordered_end(const OrderedRequest *requests, int count)
{
	Datum values[3];

	if (count == 0)
		return;
	fill_parameters(values, requests, count);
	if (flex_statement_execute(&end_requests, values, NULL) > 0)
		has_freed = true;
}

/* Return true if a key was freed in this transaction or, between transactions, in the last one. */
bool
flex_ordered_has_freed(void)
{
	return has_freed;
}

/* Reset the state of flex_ordered_has_freed(), at the beginning of a transaction. */
void
flex_ordered_discard(void)
{
	has_freed = false;
}

/*
 * The first request of a freed key, which has not been claimed or is stale.  If there is none of any
 * key, the one row that is returned has only last_at and keys.
 */
typedef struct NextRequest
{
	OrderedRequest request;
	bool is_stale;     /* also if there is no request */
	char *account_sid; /* or NULL */
	char *server;      /* "": none; NULL: the sender's */
	char *operation;
	int priority;
	int turn;
	TimestampTz due_at;
	TimestampTz last_at; /* the latest "at" of the deleted rows of flex_outbox_freed_keys */
	int keys;            /* the number of these rows */
} NextRequest;

static const ResultColumn next_columns[] = {
	RESULT_COLUMN("a.last_at", TIMESTAMPTZOID, NextRequest, last_at),
	RESULT_COLUMN("a.keys", INT4OID, NextRequest, keys),
	RESULT_COLUMN("f.role_id", INT4OID, NextRequest, request.role_id),
	RESULT_COLUMN("f.ordering_key", TEXTOID, NextRequest, request.key),
	RESULT_COLUMN("f.id", INT8OID, NextRequest, request.id),
	RESULT_COLUMN(IS_STALE, BOOLOID, NextRequest, is_stale),
	RESULT_COLUMN("r.account_sid", TEXTOID, NextRequest, account_sid),
	RESULT_COLUMN("r.server", TEXTOID, NextRequest, server),
	RESULT_COLUMN("r.operation", TEXTOID, NextRequest, operation),
	RESULT_COLUMN("r.priority", INT4OID, NextRequest, priority),
	RESULT_COLUMN("r.turn", INT4OID, NextRequest, turn),
	RESULT_COLUMN("greatest(r.run_at, clock_timestamp())", TIMESTAMPTZOID, NextRequest, due_at),
};

#define IS_NEXT "(f.waits OR " IS_STALE ")"
#define REQUEST_OF_FIRST                                                                                               \
	"LATERAL (SELECT n.account_sid, n.server, n.operation, n.priority, n.turn, n.run_at "                              \
	"FROM $t.flex_outbox_requests AS n WHERE n.id = f.id OFFSET 0) AS r"

/*
 * Take rows from flex_outbox_freed_keys, and find the next requests of their keys.  Rows of this
 * transaction are left out: before its commit, other senders still see the ended request as the first,
 * and may forget later ones.  A row that another sender has locked is left to that sender.
 */
static Statement wake_next = {
	.sql = "WITH freed AS (DELETE FROM $t.flex_outbox_freed_keys AS k WHERE k.ctid = ANY (ARRAY("
		   "SELECT o.ctid FROM $t.flex_outbox_freed_keys AS o WHERE o.at >= $1 "
		   "AND o.xid IS DISTINCT FROM pg_current_xact_id_if_assigned() "
		   "ORDER BY o.at, o.id LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING k.at, k.role_id, k.ordering_key) "
		   "SELECT $result FROM (SELECT max(at) AS last_at, count(*)::integer AS keys FROM freed) AS a "
		   "LEFT JOIN (" FIRST_OF("freed AS s") ") AS f ON " IS_NEXT " LEFT JOIN " REQUEST_OF_FIRST " ON true",
	.types = {TIMESTAMPTZOID, INT4OID},
	.result = next_columns,
	.result_count = lengthof(next_columns),
};

/*
 * Insert requests into flex_outbox_later, due at their own times.  Return the keys of these rows,
 * allocated in the current memory context, and their number in *released.
 */
static LaterKey *
release(const NextRequest *next, int count, int *released)
{
	LaterKey *keys = palloc(sizeof(LaterKey) * Max(count, 1));

	*released = 0;
	for (int i = 0; i < count; i++)
	{
		LaneKey lane = {
			.role_id = next[i].request.role_id,
			.account_sid = next[i].account_sid,
			.server = next[i].server,
			.operation = next[i].operation,
			.priority = next[i].priority,
		};
		LaterKey key = {0, next[i].due_at, next[i].request.id, next[i].turn};

		if (next[i].is_stale || next[i].operation == NULL)
			continue;
		key.lane = flex_lane_of_request(&lane);
		flex_later_add(key.lane, key.due_at, key.id, key.turn);
		keys[(*released)++] = key;
	}
	return keys;
}

/* Delete the rows of those requests that are stale. */
static void
end_stale(const NextRequest *next, int count)
{
	OrderedRequest *stale = palloc(sizeof(OrderedRequest) * Max(count, 1));
	int stale_count = 0;

	for (int i = 0; i < count; i++)
	{
		if (next[i].is_stale && next[i].request.key != NULL)
			stale[stale_count++] = next[i].request;
	}
	flex_ordered_end(stale, stale_count);
}

/*
 * Make the next requests of freed keys due.  This processes the first KEYS_AT_ONCE rows of
 * flex_outbox_freed_keys whose "at" is not before "from".
 */
WokenKeys
flex_ordered_wake(TimestampTz from)
{
	Datum values[] = {TimestampTzGetDatum(from), Int32GetDatum(KEYS_AT_ONCE)};
	int count = (int) flex_statement_execute(&wake_next, values, NULL);
	NextRequest *next = palloc0(sizeof(NextRequest) * Max(count, 1));
	WokenKeys woken = {0};

	for (int i = 0; i < count; i++)
		flex_statement_read(&wake_next, i, &next[i]);
	if (count > 0)
	{
		woken.last_at = next[0].last_at;
		woken.may_be_more = next[0].keys == KEYS_AT_ONCE;
	}
	woken.requests = release(next, count, &woken.count);
	end_stale(next, count);
	return woken;
}
