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

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "statements.h"

#define MAX_PARAMETERS 17

/* $t is the extension's schema, quoted. */
typedef struct Statement
{
	const char *sql;
	int count;
	Oid types[MAX_PARAMETERS];
} Statement;

#define INSERT_VALUES                                                                                                  \
	"INSERT INTO $t.flex_outbox (id, operation, arguments, context, state, priority, attempts, max_attempts, run_at, " \
	"unique_key, on_success, on_failure, account_sid, enqueued_at, enqueued_by, enqueued_role, enqueued_in) "          \
	"OVERRIDING SYSTEM VALUE "                                                                                         \
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
#define INSERT_TYPES                                                                                                   \
	INT8OID, TEXTOID, JSONBOID, JSONBOID, TEXTOID, INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID,        \
		TEXTOID, TEXTOID, TIMESTAMPTZOID, NAMEOID, OIDOID, OIDOID

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
	/*
	 * Many at once.  With a callback (s.c) the row takes its last state together
	 * with that.  The time of the claim tells a row from another that has got its
	 * number, in an outbox that was emptied or made anew.  The CASE keeps the
	 * planner from the index of all that is being sent: the primary key is the way.
	 */
	[SETTLE] =
		{
			.sql =
				"UPDATE $t.flex_outbox AS o SET state = CASE WHEN s.c THEN o.state ELSE s.state END, "
				"outcome = CASE WHEN s.c THEN s.state END, "
				"callback_at = CASE WHEN s.c THEN clock_timestamp() END, "
				"finished_at = CASE WHEN s.state <> 'pending' AND NOT s.c THEN clock_timestamp() END, "
				"run_at = coalesce(s.run_at, o.run_at), attempts = o.attempts - s.uncounted, "
				"may_be_done = s.may_be_done, http_status = s.http_status, error_code = s.error_code, "
				"error_message = s.error_message, request_id = s.request_id, response = s.response, "
				"sender_pid = NULL, sender_start = NULL "
				"FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS s(id, started_at, state, c, run_at, "
				"uncounted, may_be_done, http_status, error_code, error_message, request_id, response) "
				"WHERE o.id = s.id AND o.started_at = s.started_at AND o.sender_pid = $13 AND o.sender_start = $14 "
				"AND CASE WHEN o.outcome IS NULL THEN o.state = 'sending' END "
				"RETURNING o.id, CASE WHEN s.state <> 'pending' AND NOT s.c THEN s.state END",
			.count = 14,
			.types = {INT8ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, BOOLARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID,
					  BOOLARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID, INT4OID,
					  TIMESTAMPTZOID},
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
	[TAKE_OVER] =
		{
			.sql =
				"UPDATE $t.flex_outbox AS o SET sender_pid = $5, sender_start = $6, "
				"started_at = coalesce(o.started_at, clock_timestamp()) "
				"WHERE o.ctid = ANY (ARRAY(SELECT ctid FROM $t.flex_outbox WHERE state = 'sending' AND outcome IS NULL "
				"AND coalesce(sender_pid, 0) = $1 AND coalesce(sender_start, '-infinity') = $2 "
				"LIMIT $3 FOR UPDATE SKIP LOCKED)) "
				"RETURNING o.id, o.operation, NULL::jsonb, o.attempts, o.max_attempts, o.enqueued_role, "
				"o.account_sid, o.on_success IS NOT NULL, o.on_failure IS NOT NULL, o.enqueued_in <> $4, "
				"o.may_be_done, o.run_at, o.started_at",
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
			.sql = "SELECT state, enqueued_in <> $4 FROM $t.flex_outbox WHERE id = $1 AND ($2 IS NULL OR enqueued_role "
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

static int running;         /* statements, one in another's trigger */
static Oid known_schema;    /* that the plans are for */
static Oid known_table;     /* the outbox there */
static Oid known_extension; /* whose schema that is, or was */
static bool plans_are_stale;

/* Look the extension's schema up in the catalog. */
static Oid
look_up_schema(void)
{
	Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	Oid schema = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("flex_api"));
	scan = systable_beginscan(catalog, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
		known_extension = ((Form_pg_extension) GETSTRUCT(tuple))->oid;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return schema;
}

/*
 * The extension's own outbox in a schema.  What only has its name, once the
 * extension is gone, is somebody else's: its rows would have a worker act as
 * whatever role they name.
 */
static Oid
look_up_outbox(Oid schema)
{
	Oid table = OidIsValid(schema) ? get_relname_relid("flex_outbox", schema) : InvalidOid;
	bool is_ours = OidIsValid(table) && getExtensionOfObject(RelationRelationId, table) == known_extension;

	return is_ours ? table : InvalidOid;
}

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
	plans_are_stale = false;
}

/* A schema has changed, perhaps its name: callback of the system cache, which must do little. */
static void
note_schema_change(Datum argument, int cache, uint32 hash)
{
	plans_are_stale = true;
}

/* The extension's schema; InvalidOid when it is not there and may be missing. */
Oid
flex_outbox_schema(bool missing_ok)
{
	static bool registered = false;

	if (!registered)
		CacheRegisterSyscacheCallback(NAMESPACEOID, note_schema_change, (Datum) 0);
	registered = true;
	if (plans_are_stale)
		forget_plans();
	if (OidIsValid(known_table) && get_relname_relid("flex_outbox", known_schema) == known_table)
		return known_schema;
	forget_plans();
	known_schema = look_up_schema();
	known_table = look_up_outbox(known_schema);
	if (!OidIsValid(known_table))
	{
		known_schema = InvalidOid;
		if (!missing_ok)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("the outbox of extension flex_api is not in this database"),
							errhint("Use CREATE EXTENSION, or ALTER EXTENSION flex_api UPDATE.")));
	}
	return known_schema;
}

/*
 * Keep the extension until the transaction ends.  DROP EXTENSION locks it first,
 * then table after table: who has locked one of those and wants another would
 * end in a deadlock with it.
 *
 * The one that we knew is locked first, even if it is gone: a transaction that
 * has dropped it, and made another, is seen a moment before the caches are told,
 * but lets go of its locks only after that.
 */
void
flex_outbox_pin(void)
{
	Oid pinned = InvalidOid;
	Oid extension = OidIsValid(known_extension) ? known_extension : get_extension_oid("flex_api", true);

	while (OidIsValid(extension) && extension != pinned)
	{
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
		pinned = extension;
		/* While we waited for the lock it may have been dropped, and made anew. */
		extension = get_extension_oid("flex_api", true);
	}
	known_extension = extension;
}

/* The owner of the outbox's table, with whose rights it is used. */
static Oid
owner_of_outbox(void)
{
	Oid table = get_relname_relid("flex_outbox", flex_outbox_schema(false));
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", table);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Give a parameter a value until flex_outbox_leave(). */
static void
set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Take the owner's rights to put a row in: it costs less.  The caller's
 * search_path stays, so that nothing may be run that looks a name up, nor any
 * function that is not the server's own.
 */
void
flex_outbox_enter_to_insert(OutboxAccess *access)
{
	Oid owner = owner_of_outbox();

	GetUserIdAndSecContext(&access->user, &access->security);
	access->nest_level = NewGUCNestLevel();
	/* The table's trigger for replicas is not meant for us. */
	if (SessionReplicationRole != SESSION_REPLICATION_ROLE_ORIGIN)
		set("session_replication_role", "origin");
	SetUserIdAndSecContext(owner, access->security | SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * Take the rights of the outbox's owner, with no name to be found but the
 * server's own.  An error's clean-up gives them back; otherwise
 * flex_outbox_leave() must, in the same transaction.
 */
void
flex_outbox_enter(OutboxAccess *access)
{
	static const char *const off[] = {
		/* Plans are made once, when the table may be empty: they must be those for a full one. */
		"enable_seqscan", "enable_bitmapscan", "enable_mergejoin", "enable_hashjoin", "jit",
	};

	flex_outbox_enter_to_insert(access);
	set("search_path", "pg_catalog, pg_temp");
	for (size_t i = 0; i < lengthof(off); i++)
		set(off[i], "off");
}

/* Give the owner's rights back. */
void
flex_outbox_leave(OutboxAccess *access)
{
	AtEOXact_GUC(true, access->nest_level);
	SetUserIdAndSecContext(access->user, access->security);
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

/* The plan of a statement, prepared at its first use. */
static SPIPlanPtr
plan_of(StatementName name)
{
	const Statement *statement = &statements[name];

	if (plans[name] == NULL)
	{
		SPIPlanPtr plan = SPI_prepare(statement_text(statement->sql), statement->count, (Oid *) statement->types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare a statement of the outbox: %s", SPI_result_code_string(SPI_result));
		plans[name] = plan;
	}
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
