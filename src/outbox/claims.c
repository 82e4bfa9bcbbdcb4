/*
 * claims.c
 *		Requests of the outbox that senders have claimed.
 *
 * A claim does not change the requests: one row lists all requests that a transaction has
 * claimed, each with its turn.  The settlement sets the request's own turn to that number,
 * which makes the claim void.  To claim requests, a sender locks their rows, and then looks
 * for claims with a new snapshot: another sender that has claimed one has committed before it
 * released the row lock, so the snapshot shows its claim.  A claim also has the transactions
 * that enqueued the requests, so that a later request with the same id is not taken for the
 * claimed one.
 *
 * The caller must have connected to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "outbox/claims.h"
#include "outbox/direct_claims.h"
#include "outbox/lane_rows.h"
#include "outbox/roles.h"
#include "outbox/statements.h"

/* Read the rows that a statement has returned into an array of structs, in the current memory context. */
static void *
read_rows(const Statement *statement, uint64 count, size_t size)
{
	char *rows = palloc0(size * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
		flex_statement_read(statement, i, rows + i * size);
	return rows;
}

#define READ_MEMBER(name, type) RESULT_COLUMN("o." #name, type, Claim, name),

/* The columns of a request that are read into a Claim.  $2 is this database's OID, $3 is_to_be_reduced. */
#define CLAIM_COLUMNS(arguments_of_row, context_of_row)                                                                \
	CLAIM_MEMBERS(READ_MEMBER)                                                                                         \
	RESULT_COLUMN(arguments_of_row, JSONBOID, Claim, arguments),                                                       \
		RESULT_COLUMN(context_of_row, JSONBOID, Claim, context),                                                       \
		RESULT_COLUMN("least(o.attempts, 2147483646) + 1", INT4OID, Claim, attempts),                                  \
		RESULT_COLUMN(ROLE_OF_ID("o.role_id"), OIDOID, Claim, role),                                                   \
		RESULT_COLUMN("o.on_success IS NOT NULL", BOOLOID, Claim, on_success),                                         \
		RESULT_COLUMN("o.on_failure IS NOT NULL", BOOLOID, Claim, on_failure),                                         \
		RESULT_COLUMN("o.enqueued_in <> $2", BOOLOID, Claim, foreign),                                                 \
		RESULT_COLUMN("o.http_status IS NOT NULL", BOOLOID, Claim, was_answered),                                      \
		RESULT_COLUMN("coalesce(o.http_status = 401, false)", BOOLOID, Claim, was_unauthorized),                       \
		RESULT_COLUMN("o.turn + 1", INT4OID, Claim, turn), RESULT_COLUMN("$3", BOOLOID, Claim, is_to_be_reduced),      \
		RESULT_COLUMN("CASE WHEN o.expires_at <= clock_timestamp() THEN o.error_message END", TEXTOID, Claim,          \
					  last_error)

/*
 * A request that is not sent needs its large columns only if it is cancelled, because it comes from
 * another database, and then reduced.
 */
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
 * Read the claims that a statement has returned, into the current memory context.  The contexts of
 * requests may be large: each is reduced to identifiers before the next one is read.
 */
static Claim *
read_claims(const Statement *statement, int count)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "flex_api claims", ALLOCSET_SMALL_SIZES);
	Claim *claims = palloc0(sizeof(Claim) * Max(count, 1));

	for (int i = 0; i < count; i++)
	{
		flex_statement_read(statement, i, &claims[i]);
		flex_claim_reduce_context(&claims[i], context);
	}
	MemoryContextDelete(context);
	return claims;
}

/*
 * Lock those requests, given by ascending id, that are pending and not locked by another session, until the
 * transaction ends.  is_over: they have expired, and will not be sent.  Return them in no particular
 * order and without their lanes, allocated in the current memory context.
 */
Claim *
flex_claims_lock(Datum *requests, int request_count, bool is_over, int *count)
{
	Statement *statement = is_over ? &lock_over : &lock_requests;
	Claim *claims;
	Datum values[3];

	if (!is_over && flex_direct_claims_lock(requests, request_count, &claims, count))
		return claims;
	values[0] = flex_statement_array(INT8OID, requests, request_count);
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = BoolGetDatum(flex_settings.outbox_keep == OUTBOX_KEEP_IDENTIFIERS);
	*count = (int) flex_statement_execute(statement, values, NULL);
	Assert(*count <= request_count);
	return read_claims(statement, *count);
}

static Statement find_pending = {
	.sql = "SELECT o.id FROM $t.flex_outbox_requests AS o WHERE o.id = ANY ($1) AND o.state = 'pending'",
	.types = {INT8ARRAYOID},
};

/* Return the ids of those requests that are pending, without locking them. */
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

/* Make an array of transaction numbers, as a parameter, in the current memory context. */
static Datum
array_of_xids(const uint64 *transactions, int count)
{
	Datum *xids = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		xids[i] = Int64GetDatum((int64) transactions[i]);
	return flex_statement_array(XID8OID, xids, count);
}

/*
 * The claims of transactions from $1 on, and of those in the array $2 (holes) before it.  The redundant
 * upper bound makes the planner expect few rows.
 */
#define CLAIMS_FROM                                                                                                    \
	"SELECT * FROM $t.flex_outbox_claims WHERE id >= $1 AND id <= '18446744073709551615' "                             \
	"UNION ALL SELECT * FROM $t.flex_outbox_claims WHERE id = ANY ($2) AND id < $1"

static Statement list_live = {
	.sql = "SELECT c.id, c.sender_pid, c.sender_start, coalesce(c.claimed_at, '-infinity'), c.requests, c.turns, "
		   "c.enqueued_xids FROM (" CLAIMS_FROM ") AS c",
	.types = {XID8OID, XID8ARRAYOID},
};

/* Execute a statement with CLAIMS_FROM, from a mark on. */
static uint64
list_from(Statement *statement, const Mark *from)
{
	Datum values[] = {Int64GetDatum((int64) from->at.xid), array_of_xids(from->holes, from->holes_count)};

	return flex_statement_execute(statement, values, NULL);
}

/* Deconstruct an array in a row of the last result, in the current memory context.  Return the number of elements. */
static int
read_array(uint64 row, int column, Oid type, int size, Datum **elements)
{
	int count;

	deconstruct_array(DatumGetArrayTypeP(flex_statement_value(row, column)), type, size, true,
					  size == sizeof(int64) ? TYPALIGN_DOUBLE : TYPALIGN_INT, elements, NULL, &count);
	return count;
}

/*
 * Return the requests in the claims of transactions from a mark on, and of the mark's holes, in the
 * current memory context.  The requests of a claim are adjacent.  Void ones are not left out.
 */
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
 * Claim locked requests for this process, at most once per transaction.  They must not be sent before
 * the commit has been flushed to disk.
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

/* The requests o of a claim c that are not settled, because of a lock, or a trigger that suppressed the update. */
#define UNSETTLED                                                                                                      \
	"FROM unnest(c.requests, c.turns, c.enqueued_xids) AS r(id, turn, xid), LATERAL (SELECT "                          \
	"FROM $t.flex_outbox_requests AS o WHERE o.id = r.id AND o.turn < r.turn AND o.state = 'pending' "                 \
	"AND o.enqueued_xid = r.xid OFFSET 0) AS o"

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

/* Let claims belong to the PID 0, which no process has. */
static Statement disown = {
	.sql = "UPDATE $t.flex_outbox_claims AS c SET sender_pid = 0, sender_start = '-infinity' WHERE c.id = ANY ($1) "
		   "AND c.sender_pid = $2 AND c.sender_start = $3 RETURNING (SELECT count(*)::integer " UNSETTLED ")",
	.types = {XID8ARRAYOID, INT4OID, TIMESTAMPTZOID},
};

/*
 * Delete claims of this process.  checked: the caller knows that all their requests are settled.
 * Otherwise, a claim with unsettled requests is not deleted but disowned, and the next housekeeping of
 * any sender takes it over.  Return the number of unsettled requests.
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

/* Return the rows of claims of transactions from a mark on, and of the mark's holes, in the current memory context. */
ClaimRow *
flex_claim_rows(const Mark *from, int *count)
{
	*count = (int) list_from(&list_rows, from);
	return read_rows(&list_rows, *count, sizeof(ClaimRow));
}

/*
 * Make this process ($2, $3) the owner of a claim, if it still belongs to the given one ($4, $5).  A row
 * that another sender has locked is skipped: it is taking the claim over.
 */
static Statement take_over = {
	.sql = "UPDATE $t.flex_outbox_claims SET sender_pid = $2, sender_start = $3 WHERE id = ("
		   "SELECT id FROM $t.flex_outbox_claims WHERE id = $1 AND sender_pid = $4 AND sender_start = $5 "
		   "FOR UPDATE SKIP LOCKED)",
	.types = {XID8OID, INT4OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID},
};

/* Of flex_request()'s arguments the method is needed, which determines whether the request may be sent again. */
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
 * List the unsettled requests of a claim.  The lane is looked up by its key, because the request's own
 * may be one of a dump; if several lanes have the key, any will do.  If there is none (0), provide_lane()
 * asks flex_lane_of_request().
 */
static Statement list_orphans = {
	.sql = "SELECT $result FROM $t.flex_outbox_claims AS c, "
		   "unnest(c.requests, c.turns, c.enqueued_xids) AS r(id, turn, xid), "
		   "LATERAL (SELECT * FROM $t.flex_outbox_requests AS q WHERE q.id = r.id AND q.turn = r.turn - 1 "
		   "AND q.state = 'pending' AND q.enqueued_xid = r.xid OFFSET 0) AS o "
		   "LEFT JOIN LATERAL (SELECT l.id FROM $t.flex_outbox_lanes AS l WHERE l.role_id = o.role_id "
		   "AND l.operation = o.operation AND l.priority = o.priority "
		   "AND l.account_sid IS NOT DISTINCT FROM o.account_sid AND l.server IS NOT DISTINCT FROM o.server "
		   "ORDER BY l.id LIMIT 1) AS l ON true WHERE c.id = $1",
	.types = {XID8OID, OIDOID, BOOLOID},
	.result = orphan_columns,
	.result_count = lengthof(orphan_columns),
};

/* Make sure that a request that is taken over has a lane, in which it can wait again. */
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

/*
 * Take over a claim of a process that no longer exists.  Return the requests that are not settled, in
 * the current memory context, or NULL if another sender has taken the claim over.
 */
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
