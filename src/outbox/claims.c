/*
 * claims.c
 *		Requests of the outbox that senders have claimed.
 *
 * A claim changes no request: one row lists all that a transaction has claimed, each
 * with its turn.  The request's own turn reaches that number when it is settled, so
 * that a turn is claimed once, whoever looks.  The claimer locks the requests, and
 * then asks, with a snapshot of that time, whether somebody else had claimed them:
 * who did has committed before it let go of the lock.  A claim has the
 * transaction that enqueued, too, so that a later request of the same number is not
 * taken for the one that was claimed.
 *
 * The caller has connected to SPI, and stands between flex_outbox_enter() and
 * flex_outbox_leave().
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "answer/jsonb_sids.h"
#include "base/settings.h"
#include "outbox/claims.h"
#include "outbox/lane_rows.h"
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

/* What a claim tells of its request; $2 is this database, $3 that it may have to be reduced when it ends. */
#define CLAIM_COLUMNS(arguments_of_row, context_of_row)                                                                \
	RESULT_COLUMN("o.id", INT8OID, Claim, id), RESULT_COLUMN("o.operation", TEXTOID, Claim, operation),                \
		RESULT_COLUMN(arguments_of_row, JSONBOID, Claim, arguments),                                                   \
		RESULT_COLUMN(context_of_row, JSONBOID, Claim, context),                                                       \
		RESULT_COLUMN("least(o.attempts, 2147483646) + 1", INT4OID, Claim, attempts),                                  \
		RESULT_COLUMN("o.max_attempts", INT4OID, Claim, max_attempts),                                                 \
		RESULT_COLUMN(ROLE_OF_ID("o.role_id"), OIDOID, Claim, role),                                                   \
		RESULT_COLUMN("o.account_sid", TEXTOID, Claim, account_sid),                                                   \
		RESULT_COLUMN("o.server", TEXTOID, Claim, server),                                                             \
		RESULT_COLUMN("o.on_success IS NOT NULL", BOOLOID, Claim, on_success),                                         \
		RESULT_COLUMN("o.on_failure IS NOT NULL", BOOLOID, Claim, on_failure),                                         \
		RESULT_COLUMN("o.enqueued_in <> $2", BOOLOID, Claim, foreign),                                                 \
		RESULT_COLUMN("o.http_status IS NOT NULL", BOOLOID, Claim, was_answered),                                      \
		RESULT_COLUMN("coalesce(o.http_status = 401, false)", BOOLOID, Claim, was_unauthorized),                       \
		RESULT_COLUMN("o.may_be_done", BOOLOID, Claim, may_be_done),                                                   \
		RESULT_COLUMN("o.turn + 1", INT4OID, Claim, turn),                                                             \
		RESULT_COLUMN("o.enqueued_xid", XID8OID, Claim, enqueued_xid),                                                 \
		RESULT_COLUMN("o.role_id", INT4OID, Claim, role_id),                                                           \
		RESULT_COLUMN("o.ordering_key", TEXTOID, Claim, ordering_key),                                                 \
		RESULT_COLUMN("o.expires_at", TIMESTAMPTZOID, Claim, expires_at),                                              \
		RESULT_COLUMN("$3", BOOLOID, Claim, is_to_be_reduced),                                                         \
		RESULT_COLUMN("CASE WHEN o.expires_at <= clock_timestamp() THEN o.error_message END", TEXTOID, Claim,          \
					  last_error)

/* Of one that is not sent, what may be large is needed where it is cancelled, and reduced: of a copy of the database. */
#define IF_CANCELLED(column) "CASE WHEN $3 AND o.enqueued_in <> $2 THEN " column " END"

static const ResultColumn claim_columns[] = {CLAIM_COLUMNS("o.arguments", "CASE WHEN $3 THEN o.context END")};
static const ResultColumn over_columns[] = {CLAIM_COLUMNS(IF_CANCELLED("o.arguments"), IF_CANCELLED("o.context"))};

#define LOCK_PENDING                                                                                                   \
	"SELECT $result FROM $t.flex_outbox_requests AS o WHERE o.id = ANY ($1) AND o.state = 'pending' "                  \
	"FOR NO KEY UPDATE SKIP LOCKED"

static Statement lock_requests = {
	.sql = LOCK_PENDING,
	.types = {INT8ARRAYOID, OIDOID, BOOLOID},
	.result = claim_columns,
	.result_count = lengthof(claim_columns),
};

static Statement lock_over = {
	.sql = LOCK_PENDING,
	.types = {INT8ARRAYOID, OIDOID, BOOLOID},
	.result = over_columns,
	.result_count = lengthof(over_columns),
};

/*
 * The claims that a statement has returned, in the current context.  A context may be large, and there are
 * many of them: of each no more is kept than identifiers, before the next one is read.
 */
static Claim *
read_claims(const Statement *statement, int count)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "flex_api claims", ALLOCSET_SMALL_SIZES);
	Claim *claims = palloc0(sizeof(Claim) * Max(count, 1));

	for (int i = 0; i < count; i++)
	{
		MemoryContext before;
		Jsonb *whole;

		flex_statement_read(statement, i, &claims[i]);
		whole = claims[i].context;
		if (whole == NULL)
			continue;
		before = MemoryContextSwitchTo(context);
		claims[i].context = flex_jsonb_sids(whole);
		MemoryContextSwitchTo(before);
		claims[i].context = DatumGetJsonbPCopy(JsonbPGetDatum(claims[i].context));
		MemoryContextReset(context);
		pfree(whole);
	}
	MemoryContextDelete(context);
	return claims;
}

/*
 * Lock requests, those that are pending and nobody else has locked, until the
 * transaction ends; is_over: they are not sent any more.  In the current context, in no order, and without a lane.
 */
Claim *
flex_claims_lock(Datum *requests, int request_count, bool is_over, int *count)
{
	Datum values[] = {flex_statement_array(INT8OID, requests, request_count), ObjectIdGetDatum(MyDatabaseId),
					  BoolGetDatum(flex_settings.outbox_keep == OUTBOX_KEEP_IDENTIFIERS)};
	Statement *statement = is_over ? &lock_over : &lock_requests;

	*count = (int) flex_statement_execute(statement, values, NULL);
	Assert(*count <= request_count);
	return read_claims(statement, *count);
}

/* True when a request must not be sent any more: the time has come that it had. */
bool
flex_claim_has_expired(const Claim *claim)
{
	return claim->is_over || (claim->expires_at != 0 && claim->expires_at <= GetCurrentTimestamp());
}

static Statement find_pending = {
	.sql = "SELECT o.id FROM $t.flex_outbox_requests AS o WHERE o.id = ANY ($1) AND o.state = 'pending'",
	.types = {INT8ARRAYOID},
};

/* Those of some requests that are pending, although they could not be locked. */
int64 *
flex_claims_unlocked(Datum *requests, int request_count, int *count)
{
	Datum values[] = {flex_statement_array(INT8OID, requests, request_count)};
	int64 *pending;

	*count = (int) flex_statement_execute(&find_pending, values, NULL);
	pending = palloc(sizeof(int64) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		pending[i] = DatumGetInt64(flex_statement_value(i, 1));
	return pending;
}

/* Transactions as an array, in the current context. */
static Datum
array_of_xids(const uint64 *transactions, int count)
{
	Datum *xids = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		xids[i] = Int64GetDatum((int64) transactions[i]);
	return flex_statement_array(XID8OID, xids, count);
}

/* From $1, a transaction, on, and in $2, holes before it.  The upper bound has the planner take it for a small part. */
#define CLAIMS_FROM                                                                                                    \
	"SELECT * FROM $t.flex_outbox_claims WHERE id >= $1 AND id <= '18446744073709551615' "                             \
	"UNION ALL SELECT * FROM $t.flex_outbox_claims WHERE id = ANY ($2) AND id < $1"

static Statement list_live = {
	.sql = "SELECT c.id, c.sender_pid, c.sender_start, coalesce(c.claimed_at, '-infinity'), c.requests, c.turns, "
		   "c.enqueued_xids FROM (" CLAIMS_FROM ") AS c",
	.types = {XID8OID, XID8ARRAYOID},
};

/* Execute a statement that lists claims from a transaction on, and in its holes. */
static uint64
list_from(Statement *statement, const Mark *from)
{
	Datum values[] = {Int64GetDatum((int64) from->at.xid), array_of_xids(from->holes, from->holes_count)};

	return flex_statement_execute(statement, values, NULL);
}

/* The elements of an array of a row that came, in the current context; returns how many there are. */
static int
read_array(uint64 row, int column, Oid type, int size, Datum **elements)
{
	int count;

	deconstruct_array(DatumGetArrayTypeP(flex_statement_value(row, column)), type, size, true,
					  size == sizeof(int64) ? TYPALIGN_DOUBLE : TYPALIGN_INT, elements, NULL, &count);
	return count;
}

/* What senders have claimed in transactions from one on, and in its holes: a claim's requests one after another. */
LiveClaim *
flex_claims_live(const Mark *from, int *count)
{
	uint64 rows = list_from(&list_live, from);
	LiveClaim *live = palloc(sizeof(LiveClaim));

	*count = 0;
	for (uint64 row = 0; row < rows; row++)
	{
		LiveClaim claim = {
			.claimed_in = (uint64) DatumGetInt64(flex_statement_value(row, 1)),
			.sender = {DatumGetInt32(flex_statement_value(row, 2)), DatumGetTimestampTz(flex_statement_value(row, 3))},
			.claimed_at = DatumGetTimestampTz(flex_statement_value(row, 4)),
		};
		Datum *requests;
		Datum *turns;
		Datum *xids;
		int requests_count = read_array(row, 5, INT8OID, sizeof(int64), &requests);

		if (read_array(row, 6, INT4OID, sizeof(int32), &turns) != requests_count ||
			read_array(row, 7, XID8OID, sizeof(int64), &xids) != requests_count)
			elog(ERROR, "claim " UINT64_FORMAT " of the outbox has arrays of different lengths", claim.claimed_in);
		live = repalloc(live, sizeof(LiveClaim) * (*count + requests_count + 1));
		for (int i = 0; i < requests_count; i++)
		{
			claim.request = DatumGetInt64(requests[i]);
			claim.turn = DatumGetInt32(turns[i]);
			claim.enqueued_xid = (uint64) DatumGetInt64(xids[i]);
			live[(*count)++] = claim;
		}
	}
	return live;
}

static Statement make_claim = {
	.sql = "INSERT INTO $t.flex_outbox_claims (id, sender_pid, sender_start, claimed_at, requests, turns, "
		   "enqueued_xids) VALUES ($1, $2, $3, $4, $5, $6, $7)",
	.types = {XID8OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8ARRAYOID, INT4ARRAYOID, XID8ARRAYOID},
};

/*
 * Claim requests that were locked, for this process to send, once in a transaction.
 * They may be sent when that has been committed, to disk.
 */
void
flex_claims_make(Claim *claims, int count)
{
	uint64 transaction = U64FromFullTransactionId(GetTopFullTransactionId());
	TimestampTz now = GetCurrentTimestamp();
	Datum *requests = palloc(sizeof(Datum) * count);
	Datum *turns = palloc(sizeof(Datum) * count);
	Datum *xids = palloc(sizeof(Datum) * count);
	Datum values[] = {
		Int64GetDatum((int64) transaction),
		Int32GetDatum(MyProcPid),
		TimestampTzGetDatum(MyStartTimestamp),
		TimestampTzGetDatum(now),
		(Datum) 0,
		(Datum) 0,
		(Datum) 0,
	};

	Assert(count > 0);
	for (int i = 0; i < count; i++)
	{
		claims[i].claimed_in = transaction;
		claims[i].started_at = now;
		requests[i] = Int64GetDatum(claims[i].id);
		turns[i] = Int32GetDatum(claims[i].turn);
		xids[i] = Int64GetDatum((int64) claims[i].enqueued_xid);
	}
	values[4] = flex_statement_array(INT8OID, requests, count);
	values[5] = flex_statement_array(INT4OID, turns, count);
	values[6] = flex_statement_array(XID8OID, xids, count);
	flex_statement_execute(&make_claim, values, NULL);
}

/* Those of a claim's requests that were not settled: somebody has their rows locked, or keeps them by a trigger. */
#define UNSETTLED                                                                                                      \
	"FROM unnest(c.requests, c.turns, c.enqueued_xids) AS r(id, turn, xid), $t.flex_outbox_requests AS o "             \
	"WHERE o.id = r.id AND o.turn < r.turn AND o.state = 'pending' AND o.enqueued_xid = r.xid"

#define END_CLAIMS                                                                                                     \
	"DELETE FROM $t.flex_outbox_claims AS c WHERE c.id = ANY ($1) AND c.sender_pid = $2 AND c.sender_start = $3 "

static Statement end_checked = {
	.sql = END_CLAIMS,
	.types = {XID8ARRAYOID, INT4OID, TIMESTAMPTZOID},
};

static Statement end_unchecked = {
	.sql = END_CLAIMS "AND NOT EXISTS (SELECT " UNSETTLED ")",
	.types = {XID8ARRAYOID, INT4OID, TIMESTAMPTZOID},
};

/* No process has that number. */
static Statement disown = {
	.sql = "UPDATE $t.flex_outbox_claims AS c SET sender_pid = 0, sender_start = '-infinity' WHERE c.id = ANY ($1) "
		   "AND c.sender_pid = $2 AND c.sender_start = $3 RETURNING (SELECT count(*)::integer " UNSETTLED ")",
	.types = {XID8ARRAYOID, INT4OID, TIMESTAMPTZOID},
};

/*
 * Forget claims of this process, which does no more for their requests; checked: all of these
 * are settled, so that they need not be looked at.  A claim with some that were not is nobody's
 * from now on: the next housekeeping, of any sender, takes it over.  Returns how many requests
 * these are.
 */
int
flex_claims_end(const uint64 *transactions, int count, bool checked)
{
	Datum values[] = {array_of_xids(transactions, count), Int32GetDatum(MyProcPid),
					  TimestampTzGetDatum(MyStartTimestamp)};
	int unsettled = 0;
	uint64 left;

	if (flex_statement_execute(checked ? &end_checked : &end_unchecked, values, NULL) == (uint64) count || checked)
		return 0;
	left = flex_statement_execute(&disown, values, NULL);
	for (uint64 i = 0; i < left; i++)
		unsettled += DatumGetInt32(flex_statement_value(i, 1));
	return unsettled;
}

static const ResultColumn row_columns[] = {
	RESULT_COLUMN("id", XID8OID, ClaimRow, id),
	RESULT_COLUMN("sender_pid", INT4OID, ClaimRow, sender.pid),
	RESULT_COLUMN("sender_start", TIMESTAMPTZOID, ClaimRow, sender.start),
};

static Statement list_rows = {
	.sql = "SELECT $result FROM (" CLAIMS_FROM ") AS c ORDER BY id",
	.types = {XID8OID, XID8ARRAYOID},
	.result = row_columns,
	.result_count = lengthof(row_columns),
};

/* The rows of what has been claimed in transactions from one on, and in its holes. */
ClaimRow *
flex_claim_rows(const Mark *from, int *count)
{
	*count = (int) list_from(&list_rows, from);
	return read_rows(&list_rows, *count, sizeof(ClaimRow));
}

/* Nobody waits for another who does the same, and only the process that has claimed a request settles it. */
static Statement take_over = {
	.sql = "UPDATE $t.flex_outbox_claims SET sender_pid = $2, sender_start = $3 WHERE id = ("
		   "SELECT id FROM $t.flex_outbox_claims WHERE id = $1 AND sender_pid = $4 AND sender_start = $5 "
		   "FOR UPDATE SKIP LOCKED)",
	.types = {XID8OID, INT4OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID},
};

/* Of the arguments the method of a flex_request(), which tells whether it may be sent again. */
static const ResultColumn orphan_columns[] = {
	CLAIM_COLUMNS("CASE WHEN $3 AND o.enqueued_in <> $2 THEN o.arguments WHEN o.operation = 'flex_request' THEN "
				  "jsonb_build_object('method', o.arguments -> 'method') END",
				  IF_CANCELLED("o.context")),
	RESULT_COLUMN("coalesce(l.id, 0)", INT4OID, Claim, lane),
	RESULT_COLUMN("o.priority", INT4OID, Claim, priority),
	RESULT_COLUMN("c.id", XID8OID, Claim, claimed_in),
	RESULT_COLUMN("coalesce(c.claimed_at, clock_timestamp())", TIMESTAMPTZOID, Claim, started_at),
};

/*
 * The lane may be another than the one that the request has, which came from a dump; any of its
 * key is right.  Where there is none, flex_lane_of_request() knows which one it is.
 */
static Statement list_orphans = {
	.sql = "SELECT $result FROM $t.flex_outbox_claims AS c, unnest(c.requests, c.turns, c.enqueued_xids) AS r(id, "
		   "turn, xid), "
		   "$t.flex_outbox_requests AS o LEFT JOIN LATERAL (SELECT l.id FROM $t.flex_outbox_lanes AS l WHERE l.role_id "
		   "= o.role_id "
		   "AND l.operation = o.operation AND l.priority = o.priority "
		   "AND l.account_sid IS NOT DISTINCT FROM o.account_sid AND l.server IS NOT DISTINCT FROM o.server "
		   "ORDER BY l.id LIMIT 1) AS l "
		   "ON true WHERE c.id = $1 AND o.id = r.id AND o.turn = r.turn - 1 AND o.state = 'pending' "
		   "AND o.enqueued_xid = r.xid",
	.types = {XID8OID, OIDOID, BOOLOID},
	.result = orphan_columns,
	.result_count = lengthof(orphan_columns),
};

/* See to it that a request that is taken over has a lane to go back to. */
static void
provide_lane(Claim *claim)
{
	LaneKey key = {
		.role_id = claim->role_id,
		.account_sid = claim->account_sid,
		.server = claim->server,
		.operation = claim->operation,
		.priority = claim->priority,
	};

	if (claim->lane == 0)
		claim->lane = flex_lane_of_request(&key);
}

/* Make a claim of a sender that is gone this process's; returns the requests that were not settled. */
Claim *
flex_claims_take_over(const ClaimRow *row, int *count)
{
	Datum values[] = {
		Int64GetDatum((int64) row->id),         Int32GetDatum(MyProcPid),
		TimestampTzGetDatum(MyStartTimestamp),  Int32GetDatum(row->sender.pid),
		TimestampTzGetDatum(row->sender.start),
	};
	Claim *orphans;

	*count = 0;
	if (flex_statement_execute(&take_over, values, NULL) == 0)
		return NULL;
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = BoolGetDatum(flex_settings.outbox_keep == OUTBOX_KEEP_IDENTIFIERS);
	*count = (int) flex_statement_execute(&list_orphans, values, NULL);
	orphans = read_claims(&list_orphans, *count);
	for (int i = 0; i < *count; i++)
		provide_lane(&orphans[i]);
	return orphans;
}
