/*
 * settled_rows.c
 *		The rows of settled requests: written, or refused.
 *
 * One statement settles one request, or many.  Those whose rows somebody has locked are
 * left out.  What others hang on the tables (triggers, constraints, policies) may refuse it:
 * it is written in a subtransaction, so that the caller can write the others.
 *
 * The caller has connected to SPI, and stands between flex_outbox_enter() and
 * flex_outbox_leave().
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
#include "outbox/ordered_rows.h"
#include "outbox/refusals.h"
#include "outbox/settled_rows.h"
#include "outbox/statements.h"

#define CHANNEL "flex_api"
#define MOST_QUEUE_USAGE 0.75 /* of the server's queue of notifications */

#define SENDER_PARAMETERS 2 /* before the columns: this process, by number and start; the first column is $3 */
#define SETTLEMENTS "flex_settlements"
#define SETTLEMENTS_EXPECTED 100   /* for the plan, which is made once */
#define SETTLEMENTS_KB (64 * 1024) /* more than they take: temporary files may be forbidden, and the disk be full */

/*
 * True when the server's queue of notifications has room.  A session that listens
 * and does not read fills it, which anybody can do; then a commit that notifies
 * fails, and with it the answers that it records.  So nobody is told, meanwhile.
 */
static bool
may_notify(void)
{
	return DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0)) < MOST_QUEUE_USAGE;
}

/* Tell sessions that listen that a request has reached its last state. */
void
flex_outbox_notify(int64 id, const char *state)
{
	if (may_notify())
		Async_Notify(CHANNEL, psprintf(INT64_FORMAT " %s", id, state));
}

#define NAME_OF_COLUMN(name, type) {#name, type},

static const NamedParameter settlement_columns[] = {SETTLEMENT_COLUMNS(NAME_OF_COLUMN)};

StaticAssertDecl(lengthof(settlement_columns) == Natts_settlement, "each column of a settlement has a name");

/* What is returned of a request; state is NULL where it is not the last one. */
typedef struct Settled
{
	int64 id;
	char *state;
	bool is_locked; /* by somebody, and it was not settled */
	bool is_kept;   /* from being settled, by a trigger that says nothing */
	int role_id;
	char *ordering_key; /* or NULL */
} Settled;

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
 * The claim's row tells a request from another that has got its number, in an outbox that was
 * emptied or made anew.  The planner, which plans this once and maybe for tables that are almost
 * empty, must not begin with all requests: hence the array of one id, which no index has an order for.
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
 * Its callback, if it has one, is due from then on.  What is to be sent again waits for its time in
 * a row of its own; without a time of its own it is due at once, and not since its run_at, before
 * which senders have looked already.
 */
#define GOES_ON                                                                                                        \
	"due AS (INSERT INTO $t.flex_outbox_callbacks (id, role_id, due_at) SELECT id, role_id, clock_timestamp() "        \
	"FROM settled WHERE with_callback AND NOT is_kept ON CONFLICT (id) DO UPDATE SET role_id = excluded.role_id, "     \
	"due_at = excluded.due_at, attempts = 0, error = NULL), "                                                          \
	"waiting AS (INSERT INTO $t.flex_outbox_later (lane, due_at, id, turn, cause, held_since) "                        \
	"SELECT lane, coalesce(asked_at, clock_timestamp()), id, turn, cause, held_since FROM settled "                    \
	"WHERE state = 'pending' AND NOT is_kept), "

/*
 * A row that somebody has locked is left, and told of, as is one that a trigger has kept as it
 * was, or put back.  There are few of these: OFFSET keeps the planner from a join with all requests and claims.
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

/* Many, whose rows are those of a relation that there is for this statement alone. */
static Statement settle_many = {
	.sql = "WITH " SETTLED GOES_ON COUNTED_AND_TOLD,
	.types = {INT4OID, TIMESTAMPTZOID},
	.result = settled_columns,
	.result_count = lengthof(settled_columns),
};

/* The same of requests that are over then, as most are: two tables less that are opened to be written. */
static Statement settle_over = {
	.sql = "WITH " SETTLED COUNTED_AND_TOLD,
	.types = {INT4OID, TIMESTAMPTZOID},
	.result = settled_columns,
	.result_count = lengthof(settled_columns),
};

/* One with a large response, without a copy of that in a relation. */
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

/* Why a request could not be settled in this transaction. */
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

/* At the beginning of a transaction. */
void
flex_settled_rows_begin(void)
{
	unsettled_count = 0;
}

/*
 * What others hang on the tables has refused a settlement: say so.  error NULL: the row is
 * as it was, and nothing was said.
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

/* What relations of settlements look like. */
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
 * Have statements find settlements as a relation's rows, until it is unregistered.  What
 * SPI keeps of it must last as long as the connection, which is no longer than the transaction.
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
	/* One that failed has left it. */
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
	bool is_large; /* the one that there is */
} Writing;

/* True when nothing is to become of some settled requests any more. */
static bool
are_over(const Writing *writing)
{
	for (int i = 0; i < writing->count; i++)
	{
		const Datum *values = writing->rows[i].values;
		const text *state = DatumGetTextPP(values[SETTLEMENT_state]);

		if (DatumGetBool(values[SETTLEMENT_with_callback]) ||
			(VARSIZE_ANY_EXHDR(state) == strlen("pending") &&
			 memcmp(VARDATA_ANY(state), "pending", strlen("pending")) == 0))
			return false;
	}
	return true;
}

/* The statement that writes settlements. */
static Statement *
statement_of(const Writing *writing)
{
	if (writing->is_large)
		return &settle_one;
	return are_over(writing) ? &settle_over : &settle_many;
}

/* Write settlements by a statement; returns how many rows tell of them. */
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

/*
 * Write settlements of requests that this process has claimed, and tell of those
 * that have a last state.
 */
static void
write_settlements(void *argument)
{
	const Writing *writing = argument;
	Statement *statement = statement_of(writing);
	uint64 count = execute_writing(statement, writing);
	OrderedRequest *over = palloc(sizeof(OrderedRequest) * Max(count, 1));
	int over_count = 0;
	bool tells = count > 0 && may_notify();

	for (uint64 i = 0; i < count; i++)
	{
		Settled settled = {0};

		flex_statement_read(statement, i, &settled);
		if (settled.is_kept)
			warn_of_refusal(settled.id, NULL);
		if (settled.is_locked || settled.is_kept)
			note_unsettled(settled.id, settled.is_locked ? OBSTACLE_LOCK : OBSTACLE_REFUSAL);
		else if (tells && settled.state != NULL)
			Async_Notify(CHANNEL, psprintf(INT64_FORMAT " %s", settled.id, settled.state));
		if (settled.state != NULL && settled.ordering_key != NULL)
			over[over_count++] = (OrderedRequest){settled.role_id, settled.ordering_key, settled.id};
	}
	flex_ordered_end(over, over_count);
}

/* True for an error that is not a row's, but the transaction's or the server's: it ends the turn. */
static bool
is_of_the_turn(const ErrorData *error)
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

/* Returns NULL, or why it was refused: then nothing was written. */
static ErrorData *
try_to_write(Writing writing)
{
	int before = unsettled_count;
	ErrorData *error = flex_attempt(write_settlements, &writing);

	if (error == NULL)
		return NULL;
	unsettled_count = before;
	if (is_of_the_turn(error))
		flex_error_rethrow(error);
	return error;
}

/* Write settlements, all by one statement.  Returns NULL, or why they were refused: then nothing was written. */
ErrorData *
flex_settled_rows_write(SettlementValues *rows, int count)
{
	return try_to_write((Writing){rows, count, false});
}

/* The same of one whose response is large. */
ErrorData *
flex_settled_rows_write_large(SettlementValues *row)
{
	return try_to_write((Writing){row, 1, true});
}

/* A settlement was refused by itself, and has to be made anew. */
void
flex_settled_rows_note_refusal(int64 id, const ErrorData *error)
{
	warn_of_refusal(id, error);
	note_unsettled(id, OBSTACLE_REFUSAL);
}
