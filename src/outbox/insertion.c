/*
 * insertion.c
 *		A new request in the outbox's table.
 *
 * A trigger or a bulk statement enqueues row by row, and to start and end an
 * INSERT for each costs more than all the rest.  So the row goes in as logical
 * replication's rows do, by the executor's own functions and without a plan:
 * constraints are checked and all indexes are kept.  A table that is not as the
 * extension has made it, with columns, triggers or indexes of somebody's, gets a
 * statement: there somebody's functions run with the owner's rights, and must not
 * find what the caller's search_path leads to.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
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
#include "outbox/statements.h"
#include "outbox/waiting_rows.h"

/*
 * The columns of flex_outbox_requests, in their order.  New rows have a value in those
 * that are GIVEN, which fill_row() sets, GIVEN_AT_FIRST in the tables of the first version
 * alone, or GIVEN_LATER in those of later ones; the others stay NULL.
 */
#define COLUMNS(GIVEN, GIVEN_AT_FIRST, GIVEN_LATER, OTHER)                                                             \
	GIVEN(id, INT8OID)                                                                                                 \
	GIVEN(operation, TEXTOID)                                                                                          \
	GIVEN(arguments, JSONBOID)                                                                                         \
	GIVEN(context, JSONBOID)                                                                                           \
	GIVEN(state, TEXTOID)                                                                                              \
	GIVEN(priority, INT4OID)                                                                                           \
	GIVEN(attempts, INT4OID)                                                                                           \
	GIVEN(max_attempts, INT4OID)                                                                                       \
	GIVEN(run_at, TIMESTAMPTZOID)                                                                                      \
	GIVEN(unique_key, TEXTOID)                                                                                         \
	GIVEN(on_success, TEXTOID)                                                                                         \
	GIVEN(on_failure, TEXTOID)                                                                                         \
	GIVEN(account_sid, TEXTOID)                                                                                        \
	GIVEN(enqueued_at, TIMESTAMPTZOID)                                                                                 \
	GIVEN(enqueued_by, NAMEOID)                                                                                        \
	GIVEN_AT_FIRST(enqueued_role, OIDOID)                                                                              \
	GIVEN(enqueued_in, OIDOID)                                                                                         \
	OTHER(started_at, TIMESTAMPTZOID)                                                                                  \
	OTHER(finished_at, TIMESTAMPTZOID)                                                                                 \
	OTHER(http_status, INT4OID)                                                                                        \
	OTHER(error_code, TEXTOID)                                                                                         \
	OTHER(error_message, TEXTOID)                                                                                      \
	OTHER(response, JSONBOID)                                                                                          \
	OTHER(request_id, TEXTOID)                                                                                         \
	GIVEN(may_be_done, BOOLOID)                                                                                        \
	OTHER(sender_pid, INT4OID)                                                                                         \
	OTHER(sender_start, TIMESTAMPTZOID)                                                                                \
	OTHER(outcome, TEXTOID)                                                                                            \
	OTHER(callback_at, TIMESTAMPTZOID)                                                                                 \
	GIVEN_AT_FIRST(callback_attempts, INT4OID)                                                                         \
	OTHER(callback_error, TEXTOID)                                                                                     \
	OTHER(sid, TEXTOID)                                                                                                \
	GIVEN_LATER(role_id, INT4OID)                                                                                      \
	GIVEN_LATER(enqueued_xid, XID8OID)                                                                                 \
	GIVEN_LATER(on_success_owner, OIDOID)                                                                              \
	GIVEN_LATER(on_failure_owner, OIDOID)                                                                              \
	GIVEN_LATER(lane, INT4OID)                                                                                         \
	GIVEN_LATER(turn, INT4OID)                                                                                         \
	GIVEN_LATER(server, TEXTOID)                                                                                       \
	GIVEN_LATER(ordering_key, TEXTOID)                                                                                 \
	OTHER(waits_for, INT8OID)                                                                                          \
	GIVEN_LATER(expires_at, TIMESTAMPTZOID)                                                                            \
	OTHER(reduced_at, TIMESTAMPTZOID)

#define NUMBER_OF(name, type) Anum_flex_outbox_##name,
#define ALWAYS(name, type) {#name, type, COLUMN_GIVEN},
#define AT_FIRST(name, type) {#name, type, COLUMN_GIVEN_AT_FIRST},
#define LATER(name, type) {#name, type, COLUMN_GIVEN_LATER},
#define NEVER(name, type) {#name, type, COLUMN_NULL},
#define PARAMETER(name, type) {#name, type},
#define NOTHING(name, type)

typedef enum ColumnNumber
{
	Anum_flex_outbox_none,
	COLUMNS(NUMBER_OF, NUMBER_OF, NUMBER_OF, NUMBER_OF) Natts_flex_outbox_and_none
} ColumnNumber;

#define Natts_flex_outbox (Natts_flex_outbox_and_none - 1)

#define INDEXES 3 /* that the extension makes */

typedef enum ColumnUse
{
	COLUMN_NULL,
	COLUMN_GIVEN,
	COLUMN_GIVEN_AT_FIRST,
	COLUMN_GIVEN_LATER
} ColumnUse;

/* What we rely on when we write a row ourselves. */
static const struct
{
	const char *name;
	Oid type;
	ColumnUse use;
} columns[] = {COLUMNS(ALWAYS, AT_FIRST, LATER, NEVER)};

/* The columns that a statement gives values to: a table of another version may lack others. */
static const NamedParameter given_columns[] = {COLUMNS(PARAMETER, NOTHING, PARAMETER, NOTHING)};
static const NamedParameter given_at_first[] = {COLUMNS(PARAMETER, PARAMETER, NOTHING, NOTHING)};

StaticAssertDecl(lengthof(columns) == Natts_flex_outbox, "each column has its number");
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

/* Into the tables of the first version, which the library may be newer than for a while. */
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
	Assert(columns[column - 1].use != COLUMN_NULL);
	row->values[column - 1] = value;
	row->nulls[column - 1] = false;
}

/* NULL stays NULL. */
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

/* InvalidOid stays NULL. */
static void
set_oid_column(NewRow *row, ColumnNumber column, Oid oid)
{
	if (OidIsValid(oid))
		set_column(row, column, ObjectIdGetDatum(oid));
}

/* The row of a request; one that is not due waits in no lane, but for its time. */
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

/* True when an INSERT would fire a trigger, or ask whether to: behind the row, only a statement can. */
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

		if (TRIGGER_FOR_INSERT(trigger->tgtype) && trigger->tgenabled != TRIGGER_FIRES_ON_REPLICA &&
			trigger->tgenabled != TRIGGER_DISABLED)
			return true;
	}
	return false;
}

/* True when nobody's functions would run for a row, those of indexes and checks included. */
static bool
runs_nothing(Relation table)
{
	const TupleConstr *constraints = RelationGetDescr(table)->constr;
	List *indexes = RelationGetIndexList(table);
	bool has_others = list_length(indexes) != INDEXES;

	list_free(indexes);
	return !has_others && (constraints == NULL || constraints->num_check == 0) && !fires_trigger(table->trigdesc);
}

/* True when the table is as the extension has made it. */
static bool
is_plain(Relation table)
{
	TupleDesc desc = RelationGetDescr(table);

	if (table->rd_rel->relkind != RELKIND_RELATION || desc->natts != Natts_flex_outbox || table->rd_rel->relhasrules ||
		!runs_nothing(table))
		return false;
	for (int i = 0; i < Natts_flex_outbox; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->atttypid != columns[i].type || strcmp(NameStr(attribute->attname), columns[i].name) != 0 ||
			(attribute->atthasdef && columns[i].use == COLUMN_NULL))
			return false;
	}
	return true;
}

/*
 * Somebody's functions look names up as their author has: in the outbox's
 * schema and in public, and in the caller's temporary one last.  Undone with the
 * outbox's rights.
 */
static void
set_search_path(Oid schema)
{
	char *path = psprintf("pg_catalog, %s, public, pg_temp", quote_identifier(get_namespace_name(schema)));

	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Put the row in by a statement.  Returns its id, or 0 when its unique key is there. */
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
		if (columns[i].use != COLUMN_GIVEN && columns[i].use != other)
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

/* Raise 55000: somebody's trigger or rule does not let the row in. */
void
flex_outbox_refuse_row(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("the request was not put into the outbox"),
			 errdetail("A trigger or a rule of table \"%s\" has dropped it.",
					   flex_outbox_is_of_first_version() ? "flex_outbox" : "flex_outbox_requests"),
			 errhint("Drop it, or let it return the row.")));
}

/* The sequence of ids. */
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

/* Have those requests that are new, and have ordering keys, wait for their turn. */
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

/* Have those of some requests expire that are new: the others, whose unique key is there, have the id 0. */
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
 * Put requests in that have but arguments, context and keys of their own, with the rights
 * that flex_outbox_enter_to_insert() gives, into the table that the caller has locked: their role's
 * number is of that outbox, and so is their lane.  ids[] gets the id of each, or 0 where
 * its unique key is there already.
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
	/* The forgetting relies on it: an id is taken after its transaction's xid. */
	(void) GetTopTransactionId();
	/* Between flex_outbox_enter_to_insert() and flex_outbox_leave() */
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
