/*
 * insertion.c
 *		Insertion of new requests into the outbox's table.
 *
 * flex_enqueue() is often called for each row of a statement, and executor startup and
 * shutdown for an INSERT would cost more than the rest of the call.  Therefore rows are
 * inserted without a plan, by executor functions that check the constraints and maintain the
 * indexes, as the apply worker of logical replication does (direct_insertion.c).
 *
 * If a user has changed the table, by columns, triggers or indexes, an INSERT statement is
 * used.  Functions of users may then run with the rights of the outbox's owner, so the
 * caller's search_path is replaced.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "outbox/access.h"
#include "outbox/direct_insertion.h"
#include "outbox/expiring_rows.h"
#include "outbox/insertion.h"
#include "outbox/lane_rows.h"
#include "outbox/ordered_rows.h"
#include "outbox/request_table.h"
#include "outbox/statements.h"
#include "outbox/waiting_rows.h"

#define ALWAYS(name, type) COLUMN_GIVEN,
#define AT_FIRST(name, type) COLUMN_GIVEN_AT_FIRST,
#define LATER(name, type) COLUMN_GIVEN_LATER,
#define NEVER(name, type) COLUMN_NULL,
#define PARAMETER(name, type) {#name, type},
#define NOTHING(name, type)

typedef enum ColumnUse
{
	COLUMN_NULL,
	COLUMN_GIVEN,
	COLUMN_GIVEN_AT_FIRST,
	COLUMN_GIVEN_LATER
} ColumnUse;

/* Which columns a new row has values in. */
static const ColumnUse uses[] = {REQUEST_COLUMNS(ALWAYS, AT_FIRST, LATER, NEVER)};

/* The columns that an INSERT statement names.  Only those with values: a table of another version may lack others. */
static const NamedParameter given_columns[] = {REQUEST_COLUMNS(PARAMETER, NOTHING, PARAMETER, NOTHING)};
static const NamedParameter given_at_first[] = {REQUEST_COLUMNS(PARAMETER, PARAMETER, NOTHING, NOTHING)};

StaticAssertDecl(lengthof(uses) == Natts_flex_outbox, "each column has its number");
StaticAssertDecl(lengthof(given_columns) <= MAX_NAMED_PARAMETERS, "a statement has room for the columns of a new row");

#define INSERT_INTO(table) "INSERT INTO $t." table " ($names) OVERRIDING SYSTEM VALUE VALUES ($values)"
#define UNLESS_THERE(role) " ON CONFLICT (" role ", unique_key) WHERE unique_key IS NOT NULL DO NOTHING"
#define INTO_COLUMNS(given) .named = (given), .named_count = lengthof(given)

static Statement insert_request = {
	.sql = INSERT_INTO("flex_outbox_requests") " RETURNING id",
	INTO_COLUMNS(given_columns),
};

static Statement insert_keyed = {
	.sql = INSERT_INTO("flex_outbox_requests") UNLESS_THERE("role_id") " RETURNING id",
	INTO_COLUMNS(given_columns),
};

/* For tables of the first version, until ALTER EXTENSION UPDATE follows the installation of this library. */
static Statement insert_at_first = {
	.sql = INSERT_INTO("flex_outbox") UNLESS_THERE("enqueued_role") " RETURNING id",
	INTO_COLUMNS(given_at_first),
};

typedef struct NewRow
{
	Datum values[Natts_flex_outbox];
	bool nulls[Natts_flex_outbox];
	NameData enqueued_by;
} NewRow;

static void
set_column(NewRow *row, ColumnNumber column, Datum value)
{
	Assert(uses[column - 1] != COLUMN_NULL);
	row->values[column - 1] = value;
	row->nulls[column - 1] = false;
}

/* Set a column; NULL leaves it NULL. */
static void
set_text_column(NewRow *row, ColumnNumber column, const char *text)
{
	if (text != NULL)
		set_column(row, column, CStringGetTextDatum(text));
}

static void
set_jsonb_column(NewRow *row, ColumnNumber column, const Jsonb *value)
{
	if (value != NULL)
		set_column(row, column, JsonbPGetDatum(value));
}

/* Set a column; InvalidOid leaves it NULL. */
static void
set_oid_column(NewRow *row, ColumnNumber column, Oid oid)
{
	if (OidIsValid(oid))
		set_column(row, column, ObjectIdGetDatum(oid));
}

/*
 * Fill in the row of a request, allocating values in the current memory context.  A request that is
 * not due has no lane: it is found by its row of flex_outbox_later.
 */
static void
fill_row(NewRow *row, const NewRequest *request, int64 id, int lane, TimestampTz now)
{
	memset(row->values, 0, sizeof(row->values));
	memset(row->nulls, true, sizeof(row->nulls));
	namestrcpy(&row->enqueued_by, request->enqueued_by);
	set_column(row, Anum_flex_outbox_id, Int64GetDatum(id));
	set_text_column(row, Anum_flex_outbox_operation, request->operation);
	set_jsonb_column(row, Anum_flex_outbox_arguments, request->arguments);
	set_jsonb_column(row, Anum_flex_outbox_context, request->context);
	set_text_column(row, Anum_flex_outbox_state, "pending");
	set_column(row, Anum_flex_outbox_priority, Int32GetDatum(request->priority));
	set_column(row, Anum_flex_outbox_attempts, Int32GetDatum(0));
	set_column(row, Anum_flex_outbox_max_attempts, Int32GetDatum(request->max_attempts));
	set_column(row, Anum_flex_outbox_run_at, TimestampTzGetDatum(request->run_at));
	set_text_column(row, Anum_flex_outbox_unique_key, request->unique_key);
	set_text_column(row, Anum_flex_outbox_on_success, request->on_success);
	set_text_column(row, Anum_flex_outbox_on_failure, request->on_failure);
	set_text_column(row, Anum_flex_outbox_account_sid, request->account_sid);
	set_column(row, Anum_flex_outbox_enqueued_at, TimestampTzGetDatum(now));
	set_column(row, Anum_flex_outbox_enqueued_by, NameGetDatum(&row->enqueued_by));
	set_column(row, Anum_flex_outbox_enqueued_in, ObjectIdGetDatum(MyDatabaseId));
	set_column(row, Anum_flex_outbox_may_be_done, BoolGetDatum(false));
	if (request->role_id == 0)
	{
		set_column(row, Anum_flex_outbox_enqueued_role, ObjectIdGetDatum(request->enqueued_role));
		set_column(row, Anum_flex_outbox_callback_attempts, Int32GetDatum(0));
		return;
	}
	set_column(row, Anum_flex_outbox_role_id, Int32GetDatum(request->role_id));
	set_column(row, Anum_flex_outbox_enqueued_xid, FullTransactionIdGetDatum(GetTopFullTransactionId()));
	set_oid_column(row, Anum_flex_outbox_on_success_owner, request->on_success_owner);
	set_oid_column(row, Anum_flex_outbox_on_failure_owner, request->on_failure_owner);
	set_column(row, Anum_flex_outbox_turn, Int32GetDatum(0));
	set_text_column(row, Anum_flex_outbox_server, request->server);
	set_text_column(row, Anum_flex_outbox_ordering_key, request->ordering_key);
	if (request->expires_at != 0)
		set_column(row, Anum_flex_outbox_expires_at, TimestampTzGetDatum(request->expires_at));
	if (request->run_at <= now)
		set_column(row, Anum_flex_outbox_lane, Int32GetDatum(lane));
}

/*
 * Return true if an INSERT would fire a trigger.  Any AFTER ROW trigger counts, even a disabled one:
 * the trigger manager decides about those when it queues the event, which requires a statement.
 */
static bool
fires_trigger(const TriggerDesc *triggers)
{
	if (triggers == NULL)
		return false;
	if (triggers->trig_insert_after_row)
		return true;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_INSERT(trigger->tgtype) && flex_request_table_fires(trigger))
			return true;
	}
	return false;
}

/* Return true if the table is as the extension has created it, so that rows can be inserted without a statement. */
static bool
is_plain(Relation table)
{
	if (!flex_request_table_is_plain(table) || fires_trigger(table->trigdesc))
		return false;
	for (int i = 0; i < Natts_flex_outbox; i++)
	{
		if (TupleDescAttr(RelationGetDescr(table), i)->atthasdef && uses[i] == COLUMN_NULL)
			return false;
	}
	return true;
}

/*
 * Set the search_path for users' functions that an INSERT may run, until flex_outbox_leave().  They
 * find names in the outbox's schema and in public, as their authors probably do.  pg_temp is named
 * because it would otherwise be searched first, and the caller can create objects there.
 */
static void
set_search_path(Oid schema)
{
	char *path = psprintf("pg_catalog, %s, public, pg_temp", quote_identifier(get_namespace_name(schema)));

	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Insert a row by a statement.  Return its id, or 0 if another row has its unique key. */
static int64
insert_by_statement(Oid schema, NewRow *row)
{
	bool keyed = !row->nulls[Anum_flex_outbox_unique_key - 1];
	bool at_first = row->nulls[Anum_flex_outbox_role_id - 1];
	ColumnUse other = at_first ? COLUMN_GIVEN_AT_FIRST : COLUMN_GIVEN_LATER;
	Statement *statement = at_first ? &insert_at_first : keyed ? &insert_keyed : &insert_request;
	Datum values[MAX_NAMED_PARAMETERS];
	char nulls[MAX_NAMED_PARAMETERS];
	int count = 0;
	int64 id = 0;

	for (int i = 0; i < Natts_flex_outbox; i++)
	{
		if (uses[i] != COLUMN_GIVEN && uses[i] != other)
			continue;
		values[count] = row->values[i];
		nulls[count++] = row->nulls[i] ? 'n' : ' ';
	}
	Assert(count == statement->named_count);
	SPI_connect();
	set_search_path(schema);
	if (flex_statement_execute(statement, values, nulls) > 0)
		id = DatumGetInt64(flex_statement_value(0, 1));
	SPI_finish();
	if (id == 0 && !keyed)
		flex_outbox_refuse_row();
	return id;
}

/* Raise 55000 because a trigger or a rule of a user has suppressed the insertion. */
void
flex_outbox_refuse_row(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("the request was not put into the outbox"),
			 errdetail("A trigger or a rule of table \"%s\" has dropped it.",
					   flex_outbox_is_of_first_version() ? "flex_outbox" : "flex_outbox_requests"),
			 errhint("Drop it, or let it return the row.")));
}

/* Return the sequence of the ids, or raise 42P01 if a user has renamed it. */
static Oid
sequence_of_ids(Relation table)
{
	Oid sequence = get_relname_relid("flex_outbox_id_seq", RelationGetNamespace(table));

	if (!OidIsValid(sequence))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("sequence \"flex_outbox_id_seq\" of the outbox does not exist"),
						errhint("Give the sequence of column \"id\" that name again.")));
	return sequence;
}

/* Add those requests to flex_outbox_ordered that have ordering keys.  Those with the id 0 were not inserted. */
static void
add_ordered(const NewRequest *requests, int count, const int64 *ids)
{
	OrderedRequest *ordered = NULL;
	int ordered_count = 0;

	for (int i = 0; i < count; i++)
	{
		if (ids[i] == 0 || requests[i].ordering_key == NULL)
			continue;
		if (ordered == NULL)
			ordered = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(OrderedRequest) * (count - i));
		ordered[ordered_count++] = (OrderedRequest){requests[i].role_id, requests[i].ordering_key, ids[i]};
	}
	if (ordered_count > 0)
		flex_ordered_add(ordered, ordered_count);
}

/* Add requests to flex_outbox_expiring.  Those with the id 0 were not inserted. */
static void
add_expiry(TimestampTz expires_at, const int64 *ids, int count)
{
	int64 *made = palloc(sizeof(int64) * count);
	int made_count = 0;

	for (int i = 0; i < count; i++)
	{
		if (ids[i] != 0)
			made[made_count++] = ids[i];
	}
	if (made_count > 0)
		flex_expiring_add(expires_at, made, made_count, 0);
}

/*
 * Insert requests, which may differ only in their arguments, contexts and keys.  Store the id of each
 * in ids[], or 0 if another request has its unique key.
 *
 * The caller must have called flex_outbox_enter_to_insert(), and locked the table before it looked up
 * the role's number: otherwise the number might be that of an outbox that was dropped meanwhile.
 */
void
flex_outbox_insert(const NewRequest *requests, int count, int64 *ids)
{
	LaneKey key = {
		.role_id = requests->role_id,
		.account_sid = requests->account_sid,
		.server = requests->server,
		.operation = requests->operation,
		.priority = requests->priority,
	};
	TimestampTz now = GetCurrentTimestamp();
	bool is_due = requests->run_at <= now;
	int lane = requests->role_id != 0 ? flex_lane_of_request(&key) : 0;
	Relation table = relation_open(flex_outbox_table(), NoLock);
	Oid sequence = sequence_of_ids(table);
	DirectInsertion *direct = flex_direct_insertion_begin(table, count > 1, is_plain);
	MemoryContext before = CurrentMemoryContext;

	Assert(count > 0);
	/* forgetting.c relies on the XID being assigned before the ids are taken. */
	(void) GetTopTransactionId();
	/* The former is set by flex_outbox_enter_to_insert(). */
	Assert(InLocalUserIdChange() && CheckRelationLockedByMe(table, RowExclusiveLock, true));
	for (int i = 0; i < count; i++)
	{
		const NewRequest *request = &requests[i];
		size_t size = VARSIZE(request->arguments) + (request->context != NULL ? VARSIZE(request->context) : 0);
		NewRow *row;

		CHECK_FOR_INTERRUPTS();
		if (direct != NULL)
			MemoryContextSwitchTo(flex_direct_insertion_context(direct));
		row = palloc(sizeof(NewRow));
		ids[i] = nextval_internal(sequence, false);
		fill_row(row, request, ids[i], lane, now);
		if (direct == NULL)
			ids[i] = insert_by_statement(RelationGetNamespace(table), row);
		else if (!flex_direct_insertion_add(direct, row->values, row->nulls, request->unique_key != NULL, size))
			ids[i] = 0;
		MemoryContextSwitchTo(before);
	}
	if (direct != NULL)
		flex_direct_insertion_end(direct);
	if (requests->expires_at != 0)
		add_expiry(requests->expires_at, ids, count);
	relation_close(table, NoLock);
	for (int i = 0; i < count && lane != 0 && !is_due; i++)
	{
		if (ids[i] != 0)
			flex_later_add(lane, requests[i].run_at, ids[i], 0);
	}
	add_ordered(requests, count, ids);
}
