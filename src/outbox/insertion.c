/*
 * insertion.c
 *		A new row of flex_outbox.
 *
 * A trigger or a bulk statement enqueues row by row, and to start and end an
 * INSERT for each costs more than all the rest.  So the row goes in as logical
 * replication's rows do, by the executor's own functions and without a plan:
 * constraints are checked and all indexes are kept.  A table that is not as the
 * extension has made it, with columns, triggers or indexes of somebody's, gets a
 * statement: there functions of his run with the owner's rights, and must not
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

#include "base/compat.h"
#include "outbox/access.h"
#include "outbox/insertion.h"
#include "outbox/statements.h"

/* The columns, in their order.  The first ones are the parameters of INSERT_REQUEST. */
typedef enum RowColumn
{
	ROW_ID,
	ROW_OPERATION,
	ROW_ARGUMENTS,
	ROW_CONTEXT,
	ROW_STATE,
	ROW_PRIORITY,
	ROW_ATTEMPTS,
	ROW_MAX_ATTEMPTS,
	ROW_RUN_AT,
	ROW_UNIQUE_KEY,
	ROW_ON_SUCCESS,
	ROW_ON_FAILURE,
	ROW_ACCOUNT_SID,
	ROW_ENQUEUED_AT,
	ROW_ENQUEUED_BY,
	ROW_ENQUEUED_ROLE,
	ROW_ENQUEUED_IN,
	ROW_MAY_BE_DONE = 24,
	ROW_CALLBACK_ATTEMPTS = 29,
	ROW_COLUMNS = 32
} RowColumn;

#define INDEXES 6 /* that the extension makes */

/* What we rely on when we write a row ourselves; columns without a name stay NULL. */
static const struct
{
	const char *name;
	Oid type;
} columns[ROW_COLUMNS] = {
	[ROW_ID] = {"id", INT8OID},
	[ROW_OPERATION] = {"operation", TEXTOID},
	[ROW_ARGUMENTS] = {"arguments", JSONBOID},
	[ROW_CONTEXT] = {"context", JSONBOID},
	[ROW_STATE] = {"state", TEXTOID},
	[ROW_PRIORITY] = {"priority", INT4OID},
	[ROW_ATTEMPTS] = {"attempts", INT4OID},
	[ROW_MAX_ATTEMPTS] = {"max_attempts", INT4OID},
	[ROW_RUN_AT] = {"run_at", TIMESTAMPTZOID},
	[ROW_UNIQUE_KEY] = {"unique_key", TEXTOID},
	[ROW_ON_SUCCESS] = {"on_success", TEXTOID},
	[ROW_ON_FAILURE] = {"on_failure", TEXTOID},
	[ROW_ACCOUNT_SID] = {"account_sid", TEXTOID},
	[ROW_ENQUEUED_AT] = {"enqueued_at", TIMESTAMPTZOID},
	[ROW_ENQUEUED_BY] = {"enqueued_by", NAMEOID},
	[ROW_ENQUEUED_ROLE] = {"enqueued_role", OIDOID},
	[ROW_ENQUEUED_IN] = {"enqueued_in", OIDOID},
	[ROW_MAY_BE_DONE] = {"may_be_done", BOOLOID},
	[ROW_CALLBACK_ATTEMPTS] = {"callback_attempts", INT4OID},
};

typedef struct NewRow
{
	Datum values[ROW_COLUMNS];
	bool nulls[ROW_COLUMNS];
	NameData enqueued_by;
} NewRow;

/* What the executor's functions need to put a row in. */
typedef struct Target
{
	EState *state;
	ResultRelInfo *info;
	TupleTableSlot *slot;
} Target;

static void
set_value(NewRow *row, RowColumn column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

/* NULL stays NULL. */
static void
set_text(NewRow *row, RowColumn column, const char *text)
{
	if (text != NULL)
		set_value(row, column, CStringGetTextDatum(text));
}

static void
set_jsonb(NewRow *row, RowColumn column, const Jsonb *value)
{
	if (value != NULL)
		set_value(row, column, JsonbPGetDatum(value));
}

/* The row of a request. */
static void
fill_row(NewRow *row, const NewRequest *request, int64 id)
{
	memset(row->values, 0, sizeof(row->values));
	memset(row->nulls, true, sizeof(row->nulls));
	namestrcpy(&row->enqueued_by, request->enqueued_by);
	set_value(row, ROW_ID, Int64GetDatum(id));
	set_text(row, ROW_OPERATION, request->operation);
	set_jsonb(row, ROW_ARGUMENTS, request->arguments);
	set_jsonb(row, ROW_CONTEXT, request->context);
	set_text(row, ROW_STATE, "pending");
	set_value(row, ROW_PRIORITY, Int32GetDatum(request->priority));
	set_value(row, ROW_ATTEMPTS, Int32GetDatum(0));
	set_value(row, ROW_MAX_ATTEMPTS, Int32GetDatum(request->max_attempts));
	set_value(row, ROW_RUN_AT, TimestampTzGetDatum(request->run_at));
	set_text(row, ROW_UNIQUE_KEY, request->unique_key);
	set_text(row, ROW_ON_SUCCESS, request->on_success);
	set_text(row, ROW_ON_FAILURE, request->on_failure);
	set_text(row, ROW_ACCOUNT_SID, request->account_sid);
	set_value(row, ROW_ENQUEUED_AT, TimestampTzGetDatum(GetCurrentTimestamp()));
	set_value(row, ROW_ENQUEUED_BY, NameGetDatum(&row->enqueued_by));
	set_value(row, ROW_ENQUEUED_ROLE, ObjectIdGetDatum(request->enqueued_role));
	set_value(row, ROW_ENQUEUED_IN, ObjectIdGetDatum(MyDatabaseId));
	set_value(row, ROW_MAY_BE_DONE, BoolGetDatum(false));
	set_value(row, ROW_CALLBACK_ATTEMPTS, Int32GetDatum(0));
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

	if (table->rd_rel->relkind != RELKIND_RELATION || desc->natts != ROW_COLUMNS || table->rd_rel->relhasrules ||
		!runs_nothing(table))
		return false;
	for (int i = 0; i < ROW_COLUMNS; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (columns[i].name == NULL
				? attribute->atthasdef
				: (attribute->atttypid != columns[i].type || strcmp(NameStr(attribute->attname), columns[i].name) != 0))
			return false;
	}
	return true;
}

static void
open_target(Target *target, Relation table, bool speculative)
{
	target->state = CreateExecutorState();
	target->state->es_output_cid = GetCurrentCommandId(true);
	target->info = makeNode(ResultRelInfo);
	InitResultRelInfo(target->info, table, 0, NULL, 0);
	ExecOpenIndices(target->info, speculative);
	target->slot = ExecInitExtraTupleSlot(target->state, RelationGetDescr(table), &TTSOpsVirtual);
}

static void
close_target(Target *target)
{
	ExecCloseIndices(target->info);
	ExecResetTupleTable(target->state->es_tupleTable, false);
	FreeExecutorState(target->state);
}

/* The index of unique keys; raises an error if somebody has given it another name. */
static List *
index_of_keys(Relation table)
{
	Oid index = get_relname_relid("flex_outbox_unique_key", RelationGetNamespace(table));

	if (!OidIsValid(index))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("index \"flex_outbox_unique_key\" of the outbox does not exist"),
						errhint("Give the unique index on (enqueued_role, unique_key) that name again.")));
	return list_make1_oid(index);
}

/*
 * Put the row in unless its unique key is there, as ON CONFLICT DO NOTHING does:
 * look, put it in on trial, and take it back if another was faster.
 */
static bool
insert_unless_there(Target *target)
{
	Relation table = target->info->ri_RelationDesc;
	List *arbiters = index_of_keys(table);
	bool conflict;

	if (RelationGetDescr(table)->constr != NULL)
		ExecConstraints(target->info, target->slot, target->state);
	do
	{
		ItemPointerData other;
		uint32 token;

		CHECK_FOR_INTERRUPTS();
		conflict = false;
		if (!flex_check_index_constraints(target->info, target->slot, target->state, &other, arbiters))
			return false;
		token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());
		table_tuple_insert_speculative(table, target->slot, target->state->es_output_cid, 0, NULL, token);
		flex_insert_speculative_index_tuples(target->info, target->slot, target->state, &conflict, arbiters);
		table_tuple_complete_speculative(table, target->slot, token, !conflict);
		SpeculativeInsertionLockRelease(GetCurrentTransactionId());
	} while (conflict);
	return true;
}

/* Put the row in by the executor's functions; false when its unique key is there. */
static bool
insert_directly(Relation table, const NewRow *row)
{
	bool keyed = !row->nulls[ROW_UNIQUE_KEY];
	bool inserted = true;
	Target target;

	open_target(&target, table, keyed);
	memcpy(target.slot->tts_values, row->values, sizeof(row->values));
	memcpy(target.slot->tts_isnull, row->nulls, sizeof(row->nulls));
	ExecStoreVirtualTuple(target.slot);
	if (keyed)
		inserted = insert_unless_there(&target);
	else
		ExecSimpleRelationInsert(target.info, target.state, target.slot);
	close_target(&target);
	return inserted;
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
	char nulls[ROW_ENQUEUED_IN + 1];
	bool keyed = !row->nulls[ROW_UNIQUE_KEY];
	bool is_null;
	int64 id = 0;

	for (int i = 0; i < (int) lengthof(nulls); i++)
		nulls[i] = row->nulls[i] ? 'n' : ' ';
	SPI_connect();
	set_search_path(schema);
	if (flex_statement_run(keyed ? INSERT_KEYED : INSERT_REQUEST, row->values, nulls) > 0)
		id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	SPI_finish();
	if (id == 0 && !keyed)
		flex_insertion_refused();
	return id;
}

/* Raise 55000: somebody's trigger or rule does not let the row in. */
void
flex_insertion_refused(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("the request was not put into the outbox"),
			 errdetail("A trigger or a rule of table \"flex_outbox\" has dropped it.")));
}

/* The outbox's table, locked until the transaction ends, also when it has just been made anew. */
static Relation
open_outbox(void)
{
	Relation table;

	do
	{
		Oid schema = flex_outbox_schema(false);

		table = try_relation_open(get_relname_relid("flex_outbox", schema), RowExclusiveLock);
	} while (table == NULL);
	return table;
}

/* The next id. */
static int64
next_id(Relation table)
{
	Oid sequence = get_relname_relid("flex_outbox_id_seq", RelationGetNamespace(table));

	if (!OidIsValid(sequence))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("sequence \"flex_outbox_id_seq\" of the outbox does not exist"),
						errhint("Give the sequence of column \"id\" that name again.")));
	return nextval_internal(sequence, false);
}

/*
 * Put a request in, with the rights that flex_outbox_enter_to_insert() gives.
 * Returns its id, or 0 when its unique key is there already.
 */
int64
flex_insertion_run(const NewRequest *request)
{
	Relation table = open_outbox();
	int64 id = next_id(table);
	NewRow row;

	fill_row(&row, request, id);
	if (!is_plain(table))
		id = insert_by_statement(RelationGetNamespace(table), &row);
	else if (!insert_directly(table, &row))
		id = 0;
	relation_close(table, NoLock);
	return id;
}
