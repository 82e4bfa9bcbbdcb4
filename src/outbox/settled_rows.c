/*
 * settled_rows.c
 *		The statements that write settlements.
 *
 * One statement settles one request, or many; most settlements need none (direct_settlement.c).
 * Requests whose rows another session has locked are left out.  Because triggers, constraints
 * and policies of users may raise errors, each writing is a subtransaction; if it fails, the caller
 * can try to write fewer requests.
 *
 * The caller must have connected to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/attempt.h"
#include "base/compat.h"
#include "base/errors.h"
#include "outbox/direct_settlement.h"
#include "outbox/ordered_rows.h"
#include "outbox/refusals.h"
#include "outbox/request_table.h"
#include "outbox/settled_rows.h"
#include "outbox/statements.h"

#define CHANNEL "flex_api"
#define MOST_QUEUE_USAGE 0.75 /* share of the server's notification queue */

#define SENDER_PARAMETERS 2 /* $1 and $2 are this process's PID and start time; the first column is $3 */
#define SETTLEMENTS "flex_settlements"
#define SETTLEMENTS_EXPECTED 100   /* row estimate for the plan, which is made once */
#define SETTLEMENTS_KB (64 * 1024) /* memory of the tuplestore, enough that it never needs a temporary file */

/*
 * Return true if the server's notification queue has room.  Any role can fill it, by a session that
 * listens and then stays in a transaction.  When it is full, a commit that notifies fails, and the
 * answers that it records would be lost.  Therefore nothing is notified while it is almost full.
 */
static bool
may_notify(void)
{
	return DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0)) < MOST_QUEUE_USAGE;
}

/* Notify listening sessions that a request has reached its final state. */
void
flex_outbox_notify(int64 id, const char *state)
{
	if (may_notify())
		Async_Notify(CHANNEL, psprintf(INT64_FORMAT " %s", id, state));
}

#define NAME_OF_COLUMN(name, type) {#name, type},

static const NamedParameter settlement_columns[] = {SETTLEMENT_COLUMNS(NAME_OF_COLUMN)};

StaticAssertDecl(lengthof(settlement_columns) == Natts_settlement, "each column of a settlement has a name");

/* What the statements return for a request. */
static const ResultColumn settled_columns[] = {
	RESULT_COLUMN("s.id", INT8OID, Settled, id),
	RESULT_COLUMN("CASE WHEN s.state <> 'pending' AND NOT s.with_callback AND NOT s.is_kept THEN s.state END", TEXTOID,
				  Settled, state),
	RESULT_COLUMN("false", BOOLOID, Settled, is_locked),
	RESULT_COLUMN("s.is_kept", BOOLOID, Settled, is_kept),
	RESULT_COLUMN("s.role_id", INT4OID, Settled, role_id),
	RESULT_COLUMN("s.ordering_key", TEXTOID, Settled, ordering_key),
};

/*
 * Lock and update the requests that this process ($1, $2) has claimed.  The condition on the claim's row
 * excludes another request with the same id, in an outbox that was emptied or created anew.
 *
 * This is planned once, perhaps for tables that are almost empty.  The plan must not begin with a scan of
 * all requests; "= ANY (ARRAY[s.id])" prevents that, because it cannot be the clause of a merge or hash join.
 */
#define SETTLED                                                                                                        \
	"free AS (SELECT f.id FROM $t.flex_outbox_requests AS f WHERE f.id = ANY (ARRAY(SELECT id FROM " SETTLEMENTS ")) " \
	"AND f.state = 'pending' FOR NO KEY UPDATE SKIP LOCKED), "                                                         \
	"settled AS (UPDATE $t.flex_outbox_requests AS o SET state = s.state, "                                            \
	"finished_at = CASE WHEN s.state <> 'pending' THEN clock_timestamp() END, "                                        \
	"run_at = coalesce(s.run_at, o.run_at), turn = s.turn, started_at = s.started_at, "                                \
	"attempts = least(o.attempts, 2147483646) + 1 - s.uncounted, may_be_done = s.may_be_done, "                        \
	"http_status = s.http_status, error_code = s.error_code, error_message = s.error_message, "                        \
	"request_id = s.request_id, response = s.response, sid = s.sid, "                                                  \
	"arguments = coalesce(s.arguments, o.arguments), "                                                                 \
	"context = CASE WHEN s.arguments IS NULL THEN o.context ELSE s.context END, "                                      \
	"reduced_at = CASE WHEN s.arguments IS NOT NULL THEN clock_timestamp() END FROM " SETTLEMENTS " AS s "             \
	"WHERE s.id = ANY (ARRAY(SELECT id FROM free)) AND s.claimed_in = ANY (ARRAY(SELECT c.id "                         \
	"FROM $t.flex_outbox_claims AS c WHERE c.id = ANY (ARRAY(SELECT claimed_in FROM " SETTLEMENTS ")) "                \
	"AND c.sender_pid = $1 AND c.sender_start = $2)) AND o.id = ANY (ARRAY[s.id]) AND "                                \
	"o.enqueued_xid = s.enqueued_xid AND o.turn = s.turn - 1 AND o.state = 'pending' "                                 \
	"RETURNING o.id, o.role_id, o.operation, o.ordering_key, o.run_at, s.state, s.with_callback, s.turn, s.lane, "     \
	"s.cause, s.run_at AS asked_at, s.held_since, o.error_message IS NOT NULL AS has_error, o.turn < s.turn AS "       \
	"is_kept), "

/*
 * Insert the callbacks of settled requests, due at once, and rows of flex_outbox_later for requests that
 * are to be sent again.  One without a new time is due now, not at its old run_at: senders have read
 * flex_outbox_later beyond that already.
 */
#define GOES_ON                                                                                                        \
	"due AS (INSERT INTO $t.flex_outbox_callbacks (id, role_id, due_at) SELECT id, role_id, clock_timestamp() "        \
	"FROM settled WHERE with_callback AND NOT is_kept ON CONFLICT (id) DO UPDATE SET role_id = excluded.role_id, "     \
	"due_at = excluded.due_at, attempts = 0, error = NULL), "                                                          \
	"waiting AS (INSERT INTO $t.flex_outbox_later (lane, due_at, id, turn, cause, held_since) "                        \
	"SELECT lane, coalesce(asked_at, clock_timestamp()), id, turn, cause, held_since FROM settled "                    \
	"WHERE state = 'pending' AND NOT is_kept), "

/*
 * Count the finished requests, and return the settled ones and those that were not settled, because of a
 * lock or a trigger.  There are few of the latter: OFFSET 0 prevents a join with all requests and claims.
 */
#define COUNTED_AND_TOLD                                                                                               \
	"counted AS (INSERT INTO $t.flex_outbox_counts (role_id, operation, state, at, requests, error_id) "               \
	"SELECT role_id, operation, state, clock_timestamp(), count(*), max(id) FILTER (WHERE has_error) "                 \
	"FROM settled WHERE state <> 'pending' AND NOT is_kept GROUP BY role_id, operation, state) "                       \
	"SELECT $result FROM settled AS s "                                                                                \
	"UNION ALL SELECT o.id, NULL, s.id <> ALL (ARRAY(SELECT id FROM free)), s.id = ANY (ARRAY(SELECT id FROM free)), " \
	"0, NULL FROM " SETTLEMENTS " AS s, LATERAL (SELECT r.id FROM $t.flex_outbox_requests AS r WHERE r.id = s.id AND " \
	"r.enqueued_xid = s.enqueued_xid AND r.turn = s.turn - 1 AND r.state = 'pending' OFFSET 0) AS o "                  \
	"WHERE s.id <> ALL (ARRAY(SELECT id FROM settled)) AND EXISTS (SELECT FROM $t.flex_outbox_claims AS c "            \
	"WHERE c.id = s.claimed_in AND c.sender_pid = $1 AND c.sender_start = $2 OFFSET 0)"

/* Settle requests from an ephemeral named relation. */
static Statement settle_many = {
	.sql = "WITH " SETTLED GOES_ON COUNTED_AND_TOLD,
	.types = {INT4OID, TIMESTAMPTZOID},
	.result = settled_columns,
	.result_count = lengthof(settled_columns),
};

/* Likewise, if none of them has a callback or is pending again, as is most common: this opens two tables less. */
static Statement settle_over = {
	.sql = "WITH " SETTLED COUNTED_AND_TOLD,
	.types = {INT4OID, TIMESTAMPTZOID},
	.result = settled_columns,
	.result_count = lengthof(settled_columns),
};

/* Settle one request with a large response, without copying that into an ephemeral relation. */
static Statement settle_one = {
	.sql = "WITH " SETTLEMENTS " ($names) AS NOT MATERIALIZED (VALUES ($values)), " SETTLED GOES_ON COUNTED_AND_TOLD,
	.types = {INT4OID, TIMESTAMPTZOID},
	.named = settlement_columns,
	.named_count = Natts_settlement,
	.result = settled_columns,
	.result_count = lengthof(settled_columns),
};

/* A request that this transaction could not settle. */
typedef struct Unsettled
{
	int64 id;
	Obstacle obstacle;
} Unsettled;

static Unsettled *unsettled;
static int unsettled_count;
static int unsettled_room;

static void
note_unsettled(int64 id, Obstacle obstacle)
{
	if (unsettled_count == unsettled_room)
	{
		unsettled_room = Max(unsettled_room * 2, 64);
		unsettled = unsettled == NULL ? MemoryContextAlloc(TopMemoryContext, sizeof(Unsettled) * unsettled_room)
									  : repalloc(unsettled, sizeof(Unsettled) * unsettled_room);
	}
	unsettled[unsettled_count++] = (Unsettled){id, obstacle};
}

/* Return why a request was not settled in this transaction, or OBSTACLE_NONE. */
Obstacle
flex_settled_rows_obstacle(int64 id)
{
	for (int i = 0; i < unsettled_count; i++)
	{
		if (unsettled[i].id == id)
			return unsettled[i].obstacle;
	}
	return OBSTACLE_NONE;
}

/* Reset the list of unsettled requests, at the beginning of a transaction. */
void
flex_settled_rows_begin(void)
{
	unsettled_count = 0;
}

/*
 * Warn that a settlement was refused by a trigger, rule, constraint or policy of a user.  error is NULL if
 * the update was suppressed without an error.
 */
static void
warn_of_refusal(int64 id, const ErrorData *error)
{
	const char *table = error != NULL && error->table_name != NULL ? error->table_name : "flex_outbox_requests";
	int sqlerrcode = error != NULL ? error->sqlerrcode : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;

	if (!flex_refusals_may_warn(sqlerrcode, table))
		return;
	ereport(WARNING,
			(errcode(sqlerrcode), errmsg("could not record the result of a request of the Flex API outbox"),
			 error != NULL
				 ? errdetail("Request " INT64_FORMAT ", table \"%s\": %s", id, table, error->message)
				 : errdetail("Request " INT64_FORMAT ", table \"%s\": a trigger has kept it as it was.", id, table),
			 errhint("Look at the triggers, rules, constraints and policies of table \"%s\". The request counts as "
					 "being sent until it can be recorded; that is tried again and again.",
					 table)));
}

/* Return the tuple descriptor of relations of settlements.  It lasts as long as the session. */
static TupleDesc
settlements_descriptor(void)
{
	static TupleDesc descriptor = NULL;
	MemoryContext before;

	if (descriptor != NULL)
		return descriptor;
	before = MemoryContextSwitchTo(TopMemoryContext);
	descriptor = CreateTemplateTupleDesc(Natts_settlement);
	for (int i = 0; i < Natts_settlement; i++)
		TupleDescInitEntry(descriptor, i + 1, settlement_columns[i].name, settlement_columns[i].type, -1, 0);
	flex_finalize_descriptor(descriptor);
	MemoryContextSwitchTo(before);
	return descriptor;
}

/*
 * Register settlements as an ephemeral named relation.  SPI refers to it until it is unregistered, or
 * until the connection ends, which is not after the transaction: hence the memory context.
 */
static void
show_settlements(Tuplestorestate *rows)
{
	MemoryContext before = MemoryContextSwitchTo(TopTransactionContext);
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));

	relation->md.name = pstrdup(SETTLEMENTS);
	relation->md.tupdesc = settlements_descriptor();
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = SETTLEMENTS_EXPECTED;
	relation->reldata = rows;
	/* If an earlier statement has failed, its relation is still registered. */
	(void) SPI_unregister_relation(SETTLEMENTS);
	if (SPI_register_relation(relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not show settlements to a statement");
	MemoryContextSwitchTo(before);
}

/* Settlements that are written by one statement. */
typedef struct Writing
{
	SettlementValues *rows;
	int count;
	bool is_large; /* its only row has a large response */
} Writing;

/* Return true if none of the requests has a callback or is pending again. */
static bool
are_over(const Writing *writing)
{
	for (int i = 0; i < writing->count; i++)
	{
		const Datum *values = writing->rows[i].values;

		if (DatumGetBool(values[SETTLEMENT_with_callback]) || flex_request_table_says_pending(values[SETTLEMENT_state]))
			return false;
	}
	return true;
}

/* Return the statement for settlements. */
static Statement *
statement_of(const Writing *writing)
{
	if (writing->is_large)
		return &settle_one;
	return are_over(writing) ? &settle_over : &settle_many;
}

/* Write settlements by a statement.  Return how many rows of type Settled it has returned. */
static uint64
execute_writing(Statement *statement, const Writing *writing)
{
	Datum values[SENDER_PARAMETERS + Natts_settlement] = {Int32GetDatum(MyProcPid),
														  TimestampTzGetDatum(MyStartTimestamp)};
	char nulls[SENDER_PARAMETERS + Natts_settlement] = {' ', ' '};
	Tuplestorestate *rows;
	uint64 count;

	if (writing->is_large)
	{
		memcpy(&values[SENDER_PARAMETERS], writing->rows->values, sizeof(writing->rows->values));
		for (int i = 0; i < Natts_settlement; i++)
			nulls[SENDER_PARAMETERS + i] = writing->rows->nulls[i] ? 'n' : ' ';
		return flex_statement_execute(statement, values, nulls);
	}
	rows = tuplestore_begin_heap(false, false, Max(work_mem, SETTLEMENTS_KB));
	for (int i = 0; i < writing->count; i++)
		tuplestore_putvalues(rows, settlements_descriptor(), writing->rows[i].values, writing->rows[i].nulls);
	show_settlements(rows);
	count = flex_statement_execute(statement, values, NULL);
	(void) SPI_unregister_relation(SETTLEMENTS);
	tuplestore_end(rows);
	return count;
}

/* Write settlements by a statement.  Return what became of the requests, in the current memory context. */
static Settled *
write_by_statement(const Writing *writing, uint64 *count)
{
	Statement *statement = statement_of(writing);
	Settled *settled;

	*count = execute_writing(statement, writing);
	settled = palloc0(sizeof(Settled) * Max(*count, 1));
	for (uint64 i = 0; i < *count; i++)
		flex_statement_read(statement, i, &settled[i]);
	return settled;
}

/*
 * Write settlements of requests that this process has claimed, notify listeners of final states, and
 * note those that were not settled.  "argument" is a Writing; this is a function for flex_attempt().
 */
static void
write_settlements(void *argument)
{
	const Writing *writing = argument;
	uint64 count;
	Settled *settled;
	OrderedRequest *over;
	int over_count = 0;
	bool tells;

	if (writing->is_large || !are_over(writing) ||
		!flex_direct_settlement_write(writing->rows, writing->count, &settled, &count))
		settled = write_by_statement(writing, &count);
	over = palloc(sizeof(OrderedRequest) * Max(count, 1));
	tells = count > 0 && may_notify();
	for (uint64 i = 0; i < count; i++)
	{
		if (settled[i].is_kept)
			warn_of_refusal(settled[i].id, NULL);
		if (settled[i].is_locked || settled[i].is_kept)
			note_unsettled(settled[i].id, settled[i].is_locked ? OBSTACLE_LOCK : OBSTACLE_REFUSAL);
		else if (tells && settled[i].state != NULL)
			Async_Notify(CHANNEL, psprintf(INT64_FORMAT " %s", settled[i].id, settled[i].state));
		if (settled[i].state != NULL && settled[i].ordering_key != NULL)
			over[over_count++] = (OrderedRequest){settled[i].role_id, settled[i].ordering_key, settled[i].id};
	}
	flex_ordered_end(over, over_count);
}

/* Return true for errors that concern the transaction or the server and not a row: these abort the transaction. */
static bool
is_of_transaction(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			return false;
	}
}

/* Write settlements in a subtransaction.  Return NULL, or the error because of which nothing was written. */
static ErrorData *
try_to_write(Writing writing)
{
	int before = unsettled_count;
	ErrorData *error = flex_attempt(write_settlements, &writing);

	if (error == NULL)
		return NULL;
	unsettled_count = before;
	if (is_of_transaction(error))
		flex_error_rethrow(error);
	return error;
}

/* Write settlements by one statement.  Return NULL, or the error because of which none was written. */
ErrorData *
flex_settled_rows_write(SettlementValues *rows, int count)
{
	return try_to_write((Writing){rows, count, false});
}

/* Likewise, for one settlement with a large response. */
ErrorData *
flex_settled_rows_write_large(SettlementValues *row)
{
	return try_to_write((Writing){row, 1, true});
}

/* Note that a settlement was refused even by itself, and warn: the caller has to try it again later. */
void
flex_settled_rows_note_refusal(int64 id, const ErrorData *error)
{
	warn_of_refusal(id, error);
	note_unsettled(id, OBSTACLE_REFUSAL);
}
