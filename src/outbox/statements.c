/*
 * statements.c
 *		The SQL that the outbox's rows are read and written with.
 *
 * Each statement stands once in a table, is prepared at its first use in a
 * session, and uses the operators of pg_catalog alone.  The caller has
 * connected to SPI, and stands between flex_outbox_enter() and
 * flex_outbox_leave().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "outbox/access.h"
#include "outbox/statements.h"

#define MAX_PARAMETERS 17

/* $t is the extension's schema, quoted. */
typedef struct Statement
{
	const char *sql;
	int count;
	Oid types[MAX_PARAMETERS];
	int options; /* of its plan: CURSOR_OPT_* */
} Statement;

#define INSERT_VALUES                                                                                                  \
	"INSERT INTO $t.flex_outbox (id, operation, arguments, context, state, priority, attempts, max_attempts, run_at, " \
	"unique_key, on_success, on_failure, account_sid, enqueued_at, enqueued_by, enqueued_role, enqueued_in) "          \
	"OVERRIDING SYSTEM VALUE "                                                                                         \
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
#define INSERT_TYPES                                                                                                   \
	INT8OID, TEXTOID, JSONBOID, JSONBOID, TEXTOID, INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID,        \
		TEXTOID, TEXTOID, TIMESTAMPTZOID, NAMEOID, OIDOID, OIDOID

/*
 * Settles the requests of a list.  With a callback (s.c) the row takes its last
 * state together with that.  The time of the claim tells a row from another that
 * has got its number, in an outbox that was emptied or made anew.  The CASE keeps
 * the planner from the index of all that is being sent: the primary key is the way.
 */
#define SETTLE_FROM(list)                                                                                              \
	"UPDATE $t.flex_outbox AS o SET state = CASE WHEN s.c THEN o.state ELSE s.state END, "                             \
	"outcome = CASE WHEN s.c THEN s.state END, callback_at = CASE WHEN s.c THEN clock_timestamp() END, "               \
	"finished_at = CASE WHEN s.state <> 'pending' AND NOT s.c THEN clock_timestamp() END, "                            \
	"run_at = coalesce(s.run_at, o.run_at), attempts = o.attempts - s.uncounted, may_be_done = s.may_be_done, "        \
	"http_status = s.http_status, error_code = s.error_code, error_message = s.error_message, "                        \
	"request_id = s.request_id, response = s.response, sid = s.sid, sender_pid = NULL, sender_start = NULL "           \
	"FROM " list " AS s (id, started_at, state, c, run_at, uncounted, may_be_done, http_status, error_code, "          \
	"error_message, request_id, response, sid) "                                                                       \
	"WHERE o.id = s.id AND o.started_at = s.started_at AND o.sender_pid = $14 AND o.sender_start = $15 "               \
	"AND CASE WHEN o.outcome IS NULL THEN o.state = 'sending' END "                                                    \
	"RETURNING o.id, CASE WHEN s.state <> 'pending' AND NOT s.c THEN s.state END"

static const Statement statements[STATEMENTS] = {
	[INSERT_REQUEST] =
		{
			.sql = INSERT_VALUES " RETURNING id",
			.count = 17,
			.types = {INSERT_TYPES},
		},
	[INSERT_KEYED] =
		{
			.sql = INSERT_VALUES
			" ON CONFLICT (enqueued_role, unique_key) WHERE unique_key IS NOT NULL DO NOTHING RETURNING id",
			.count = 17,
			.types = {INSERT_TYPES},
		},
	[FIND_KEY] =
		{
			.sql = "SELECT id FROM $t.flex_outbox WHERE enqueued_role = $1 AND unique_key = $2",
			.count = 2,
			.types = {OIDOID, TEXTOID},
		},
	/* From lane to lane along the index, however many requests are in each. */
	[LIST_LANES] =
		{
			.sql = "WITH RECURSIVE lanes AS ("
				   "(SELECT operation, priority, run_at FROM $t.flex_outbox WHERE state = 'pending' "
				   "ORDER BY operation, priority, run_at, id LIMIT 1) "
				   "UNION ALL SELECT next.* FROM lanes AS l, LATERAL ("
				   "SELECT operation, priority, run_at FROM $t.flex_outbox AS o WHERE state = 'pending' "
				   "AND (o.operation, o.priority) > (l.operation, l.priority) "
				   "ORDER BY operation, priority, run_at, id LIMIT 1) AS next) "
				   "SELECT l.operation, l.priority, greatest(l.run_at, h.held_until) "
				   "FROM lanes AS l LEFT JOIN $t.flex_outbox_holds AS h USING (operation) "
				   "ORDER BY l.priority DESC, 3",
		},
	/* By ctid, which is good as long as the rows are locked: no second look into an index. */
	[CLAIM] =
		{
			.sql =
				"UPDATE $t.flex_outbox AS o SET state = 'sending', attempts = least(o.attempts, 2147483646) + 1, "
				"started_at = clock_timestamp(), sender_pid = $4, sender_start = $5 "
				"WHERE o.ctid = ANY (ARRAY(SELECT ctid FROM $t.flex_outbox WHERE state = 'pending' AND operation = $1 "
				"AND priority = $2 AND run_at >= $7 AND run_at <= $8 ORDER BY operation, priority, run_at, id "
				"LIMIT $3 FOR UPDATE SKIP LOCKED)) "
				"RETURNING o.id, o.operation, o.arguments, o.attempts, o.max_attempts, o.enqueued_role, "
				"o.account_sid, o.on_success IS NOT NULL, o.on_failure IS NOT NULL, o.enqueued_in <> $6, "
				"o.may_be_done, o.run_at, o.started_at",
			.count = 8,
			.types = {TEXTOID, INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, OIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		},
	[SETTLE] =
		{
			.sql = SETTLE_FROM("unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"),
			.count = 15,
			.types = {INT8ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, BOOLARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID,
					  BOOLARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID, TEXTARRAYOID,
					  INT4OID, TIMESTAMPTZOID},
		},
	/* One with a large response, of which a plan of its own would have copies. */
	[SETTLE_ONE] =
		{
			.sql = SETTLE_FROM("(VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13))"),
			.count = 15,
			.types = {INT8OID, TIMESTAMPTZOID, TEXTOID, BOOLOID, TIMESTAMPTZOID, INT4OID, BOOLOID, INT4OID, TEXTOID,
					  TEXTOID, TEXTOID, JSONBOID, TEXTOID, INT4OID, TIMESTAMPTZOID},
			.options = CURSOR_OPT_GENERIC_PLAN,
		},
	[HOLD] =
		{
			.sql = "INSERT INTO $t.flex_outbox_holds AS h (operation, held_until) VALUES ($1, $2) "
				   "ON CONFLICT (operation) DO UPDATE SET held_until = greatest(h.held_until, excluded.held_until)",
			.count = 2,
			.types = {TEXTOID, TIMESTAMPTZOID},
		},
	[LIST_SENDERS] =
		{
			.sql = "SELECT DISTINCT coalesce(sender_pid, 0), coalesce(sender_start, '-infinity') FROM $t.flex_outbox "
				   "WHERE state = 'sending' AND outcome IS NULL",
		},
	/* They become ours: only who has claimed a request settles it, and by the time of the claim. */
	/* Without the arguments, but for the method of a flex_request(), which tells whether it may be sent again. */
	[TAKE_OVER] =
		{
			.sql =
				"UPDATE $t.flex_outbox AS o SET sender_pid = $5, sender_start = $6, "
				"started_at = coalesce(o.started_at, clock_timestamp()) "
				"WHERE o.ctid = ANY (ARRAY(SELECT ctid FROM $t.flex_outbox WHERE state = 'sending' AND outcome IS NULL "
				"AND coalesce(sender_pid, 0) = $1 AND coalesce(sender_start, '-infinity') = $2 "
				"LIMIT $3 FOR UPDATE SKIP LOCKED)) "
				"RETURNING o.id, o.operation, CASE WHEN o.operation = 'flex_request' THEN "
				"jsonb_build_object('method', o.arguments -> 'method') END, o.attempts, o.max_attempts, "
				"o.enqueued_role, o.account_sid, o.on_success IS NOT NULL, o.on_failure IS NOT NULL, "
				"o.enqueued_in <> $4, o.may_be_done, o.run_at, o.started_at",
			.count = 6,
			.types = {INT4OID, TIMESTAMPTZOID, INT4OID, OIDOID, INT4OID, TIMESTAMPTZOID},
		},
	/* Counted and put off before it runs: one that kills its process must not be the first again. */
	[CLAIM_CALLBACK] =
		{
			.sql =
				"UPDATE $t.flex_outbox SET callback_attempts = least(callback_attempts, 2147483646) + 1, callback_at = "
				"clock_timestamp() + "
				"least(power(2, least(callback_attempts, 20)), 3600) * interval '1 second' "
				"WHERE id = (SELECT id FROM $t.flex_outbox WHERE callback_at <= now() "
				"ORDER BY callback_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, callback_attempts, "
				"callback_at",
		},
	[SETTLE_CALLBACK] =
		{
			.sql = "UPDATE $t.flex_outbox AS o SET state = coalesce(outcome, state), outcome = NULL, "
				   "finished_at = coalesce(finished_at, clock_timestamp()), callback_at = NULL, callback_error = NULL, "
				   "callback_attempts = callback_attempts - 1 WHERE id = $1 AND callback_attempts = $2 "
				   "AND callback_at = $3 RETURNING o.enqueued_role, "
				   "CASE WHEN o.state = 'succeeded' THEN o.on_success ELSE o.on_failure END, o.state, o",
			.count = 3,
			.types = {INT8OID, INT4OID, TIMESTAMPTZOID},
		},
	[FAIL_CALLBACK] =
		{
			.sql =
				"UPDATE $t.flex_outbox SET callback_attempts = $3, callback_error = $2, callback_at = $4 WHERE id = $1",
			.count = 4,
			.types = {INT8OID, TEXTOID, INT4OID, TIMESTAMPTZOID},
		},
	[NEXT_CALLBACK] =
		{
			.sql = "SELECT callback_at FROM $t.flex_outbox WHERE callback_at IS NOT NULL ORDER BY callback_at LIMIT 1",
		},
	[EXPIRE] =
		{
			.sql = "DELETE FROM $t.flex_outbox WHERE id = ANY (ARRAY(SELECT id FROM $t.flex_outbox "
				   "WHERE finished_at < now() - $1 * interval '1 minute' AND callback_at IS NULL "
				   "AND state <> 'uncertain' ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
			.count = 2,
			.types = {INT4OID, INT4OID},
		},
	[NOTE_DRAIN] =
		{
			.sql = "UPDATE $t.flex_outbox_activity SET last_drain_at = now() "
				   "WHERE only_row AND (last_drain_at IS NULL OR last_drain_at < now() - interval '1 minute')",
		},
	[NOTE_WORKER] =
		{
			.sql = "UPDATE $t.flex_outbox_activity SET last_drain_at = now(), worker_pid = pg_backend_pid() WHERE "
				   "only_row",
		},
	[WAS_DRAINED] =
		{
			.sql = "SELECT FROM $t.flex_outbox_activity WHERE only_row AND last_drain_at > now() - interval '1 day'",
		},
	/* Whose it is, is asked as the table's policy asks; no role: anybody's. */
	[LOCK_REQUEST] =
		{
			.sql = "SELECT state, enqueued_in <> $4, operation FROM $t.flex_outbox WHERE id = $1 AND ($2 IS NULL OR "
				   "enqueued_role "
				   "= $2 "
				   "AND (finished_at IS NULL OR enqueued_by = $3)) FOR UPDATE",
			.count = 4,
			.types = {INT8OID, OIDOID, NAMEOID, OIDOID},
		},
	[RETRY] =
		{
			.sql = "UPDATE $t.flex_outbox SET state = 'pending', attempts = 0, run_at = clock_timestamp(), "
				   "finished_at = NULL, callback_at = NULL, callback_error = NULL, callback_attempts = 0 WHERE id = $1",
			.count = 1,
			.types = {INT8OID},
		},
	[RETRY_CALLBACK] =
		{
			.sql = "UPDATE $t.flex_outbox SET callback_at = clock_timestamp(), callback_attempts = 0 "
				   "WHERE id = $1 AND callback_error IS NOT NULL",
			.count = 1,
			.types = {INT8OID},
		},
	[CANCEL] =
		{
			.sql = "UPDATE $t.flex_outbox SET state = 'cancelled', finished_at = clock_timestamp(), "
				   "callback_at = NULL WHERE id = $1",
			.count = 1,
			.types = {INT8OID},
		},
};

static SPIPlanPtr plans[STATEMENTS];
static uint64 generation; /* flex_outbox_generation() that the plans are for */
static int running;       /* statements, one in another's trigger */

/*
 * Forget all plans: they are for a schema that the extension has left.  In a
 * trigger of somebody's one of them is running: then they cannot be freed.
 */
static void
forget_plans(void)
{
	for (int i = 0; i < STATEMENTS; i++)
	{
		if (plans[i] != NULL && running == 0)
			SPI_freeplan(plans[i]);
		plans[i] = NULL;
	}
}

/* A statement's text, with the extension's schema in it. */
static char *
statement_text(const char *sql)
{
	const char *schema = quote_identifier(get_namespace_name(flex_outbox_schema(false)));
	StringInfoData text;
	const char *place;

	initStringInfo(&text);
	while ((place = strstr(sql, "$t")) != NULL)
	{
		appendBinaryStringInfo(&text, sql, place - sql);
		appendStringInfoString(&text, schema);
		sql = place + 2;
	}
	appendStringInfoString(&text, sql);
	return text.data;
}

/*
 * Prepare a statement.  Tables of another version than the library's may lack what it
 * names: then the error says that, and not what is lacking.
 */
static SPIPlanPtr
prepare(const Statement *statement)
{
	MemoryContext caller = CurrentMemoryContext;
	bool fits = flex_outbox_tables_fit(0);
	SPIPlanPtr plan = NULL;

	PG_TRY();
	{
		plan = SPI_prepare_cursor(statement_text(statement->sql), statement->count, (Oid *) statement->types,
								  statement->options);
	}
	PG_CATCH();
	{
		if (fits || geterrcode() == ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		FlushErrorState();
		(void) flex_outbox_tables_fit(ERROR);
	}
	PG_END_TRY();
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare a statement of the outbox: %s", SPI_result_code_string(SPI_result));
	return plan;
}

/* The plan of a statement, prepared at its first use. */
static SPIPlanPtr
plan_of(StatementName name)
{
	if (generation != flex_outbox_generation())
		forget_plans();
	generation = flex_outbox_generation();
	if (plans[name] == NULL)
		plans[name] = prepare(&statements[name]);
	return plans[name];
}

/* Execute a plan, and know that it is running. */
static pg_noinline int
execute(SPIPlanPtr plan, Datum *values, const char *nulls)
{
	int result;

	running++;
	PG_TRY();
	{
		result = SPI_execute_plan(plan, values, nulls, false, 0);
	}
	PG_FINALLY();
	{
		running--;
	}
	PG_END_TRY();
	return result;
}

/*
 * Run a statement; a NULL's place in nulls has 'n'.  Returns how many rows came,
 * or were changed.
 */
uint64
flex_statement_run(StatementName name, Datum *values, const char *nulls)
{
	MemoryContext caller = CurrentMemoryContext;
	int result = execute(plan_of(name), values, nulls);

	/* SPI leaves its own context behind, which ends with the transaction. */
	MemoryContextSwitchTo(caller);
	if (result < 0)
		elog(ERROR, "a statement of the outbox failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}
