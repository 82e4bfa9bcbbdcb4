/*
 * modify.c
 *		Execution of INSERT, UPDATE and DELETE on a foreign table.
 *
 * The executor passes one row at a time or, if neither a trigger, RETURNING nor WITH CHECK
 * OPTION has to see each row before the next one is sent, new rows in batches.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "foreign/modify.h"
#include "foreign/modify_plan.h"
#include "foreign/row_writer.h"

/*
 * Size of a batch, in multiples of the concurrency.  Between two batches no request is on
 * the wire, so a batch has to be a good deal larger than the concurrency.
 */
#define GOES 10
#define MOST_AT_ONCE 1000 /* rows of a batch, which is held in memory */

/* State of a statement for a result relation, in ri_FdwState. */
typedef struct TableModification
{
	RowWriter *writer;
	CmdType command;
	AttrNumber whole_row; /* DELETE: the junk attribute with the old row */

	/* Of the rows that are being written */
	TupleTableSlot **slots;
	HeapTupleData old; /* DELETE: the old row, to which the slot points */
	bool was_written;  /* the service has written the last row */
} TableModification;

/* Return true if an AFTER trigger has to see the row as the service returns it. */
static bool
has_after_trigger(const ResultRelInfo *info, CmdType command)
{
	const TriggerDesc *triggers = info->ri_TrigDesc;

	if (triggers == NULL)
		return false;
	return command == CMD_INSERT ? triggers->trig_insert_after_row : triggers->trig_update_after_row;
}

/* Create the state in the current context.  columns: those to be sent; wants_rows: rows are read from the answers. */
static TableModification *
create_modification(EState *state, ResultRelInfo *info, CmdType command, Bitmapset *columns, bool wants_rows)
{
	TableModification *modification = palloc0(sizeof(TableModification));
	RemoteTable *table = flex_remote_table_open(RelationGetRelid(info->ri_RelationDesc));
	Oid user = flex_result_user(info, state);

	modification->command = command;
	modification->writer =
		flex_row_writer_create(table, flex_operation_of_command(command), columns,
							   OidIsValid(user) ? user : GetUserId(), wants_rows || has_after_trigger(info, command));
	return modification;
}

/* Raise 0A000 if a BEFORE trigger of UPDATE could change columns that are not sent, or that identify the row. */
static void
refuse_before_trigger(const ResultRelInfo *info)
{
	if (info->ri_TrigDesc != NULL && info->ri_TrigDesc->trig_update_before_row)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("foreign table \"%s\" cannot be updated with a BEFORE ROW trigger",
							   RelationGetRelationName(info->ri_RelationDesc)),
						errdetail("UPDATE sends the columns that it sets, and not what a trigger changes."),
						errhint("Make it an AFTER trigger, or set the columns in the statement.")));
}

/* BeginForeignModify */
void
flex_modify_begin(ModifyTableState *state, ResultRelInfo *info, List *plan, int subplan, int eflags)
{
	TableModification *modification;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	modification = create_modification(state->ps.state, info, state->operation, flex_modify_plan_columns(plan),
									   flex_modify_plan_wants_rows(plan));
	info->ri_FdwState = modification;
	if (state->operation == CMD_UPDATE)
		refuse_before_trigger(info);
	if (state->operation != CMD_DELETE)
		return;
	modification->whole_row = ExecFindJunkAttributeInTlist(outerPlanState(state)->plan->targetlist, FLEX_WHOLE_ROW);
	if (modification->whole_row == InvalidAttrNumber)
		elog(ERROR, "could not find the whole row to be deleted");
}

/* BeginForeignInsert: rows come from COPY, or are routed here from a partitioned table. */
void
flex_modify_begin_insert(ModifyTableState *state, ResultRelInfo *info)
{
	Relation relation = info->ri_RelationDesc;
	int natts = RelationGetDescr(relation)->natts;
	const ModifyTable *plan = (const ModifyTable *) state->ps.plan; /* NULL: COPY */

	if ((flex_modify_updatable(relation) & (1 << CMD_INSERT)) == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("foreign table \"%s\" does not allow inserts", RelationGetRelationName(relation))));
	/* An UPDATE moves the row here from another partition: its deletion there can be rolled back, the insert cannot. */
	if (state->operation == CMD_UPDATE)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a row cannot be moved into foreign table \"%s\"", RelationGetRelationName(relation)),
						errdetail("If the statement failed, the row that the Flex API has created would remain."),
						errhint("Use INSERT, and then DELETE.")));
	if (plan != NULL && plan->onConflictAction != ONCONFLICT_NONE)
		flex_modify_refuse_on_conflict(RelationGetRelationName(relation));
	info->ri_FdwState =
		create_modification(state->ps.state, info, CMD_INSERT, bms_add_range(NULL, 1, Max(natts, 1)),
							plan != NULL && (plan->returningLists != NIL || plan->withCheckOptionLists != NIL));
}

/* RowsToWrite.get: return the row of a slot or, for DELETE, the old row. */
static void
get_row(void *state, int index, Datum *values, bool *nulls)
{
	TableModification *modification = state;
	TupleDesc desc = flex_row_writer_table(modification->writer)->desc;
	TupleTableSlot *slot;

	if (modification->command == CMD_DELETE)
	{
		heap_deform_tuple(&modification->old, desc, values, nulls);
		return;
	}
	slot = modification->slots[index];
	slot_getallattrs(slot);
	memcpy(values, slot->tts_values, sizeof(Datum) * desc->natts);
	memcpy(nulls, slot->tts_isnull, sizeof(bool) * desc->natts);
}

/* RowsToWrite.took: store the row as the service returned it in the slot. */
static void
take_row(void *state, int index, Datum *values, bool *nulls)
{
	TableModification *modification = state;
	TupleDesc desc = flex_row_writer_table(modification->writer)->desc;
	TupleTableSlot *slot = modification->slots[index];

	modification->was_written = true;
	if (values == NULL)
		return;
	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, sizeof(Datum) * desc->natts);
	memcpy(slot->tts_isnull, nulls, sizeof(bool) * desc->natts);
	ExecStoreVirtualTuple(slot);
}

/* Write the rows of some slots. */
static void
write_slots(TableModification *modification, TupleTableSlot **slots, int count)
{
	RowsToWrite rows = {.count = count, .get = get_row, .took = take_row, .state = modification};

	modification->slots = slots;
	modification->was_written = false;
	flex_row_writer_write(modification->writer, &rows);
	modification->slots = NULL;
}

/* Take the old row from the plan's junk attribute.  It is also put into the slot, for RETURNING. */
static void
take_old_row(TableModification *modification, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	bool is_null;
	Datum row = ExecGetJunkAttribute(plan_slot, modification->whole_row, &is_null);

	if (is_null)
		elog(ERROR, "the whole row to be deleted is NULL");
	modification->old.t_data = DatumGetHeapTupleHeader(row);
	modification->old.t_len = HeapTupleHeaderGetDatumLength(modification->old.t_data);
	ItemPointerSetInvalid(&modification->old.t_self);
	modification->old.t_tableOid = InvalidOid;
	ExecForceStoreHeapTuple(&modification->old, slot, false);
}

/* ExecForeignInsert, -Update and -Delete: write one row.  Return NULL if the service has no such row. */
TupleTableSlot *
flex_modify_write_row(EState *state, ResultRelInfo *info, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	TableModification *modification = info->ri_FdwState;

	if (modification->command == CMD_DELETE)
		take_old_row(modification, slot, plan_slot);
	write_slots(modification, &slot, 1);
	return modification->was_written ? slot : NULL;
}

/* ExecForeignBatchInsert */
TupleTableSlot **
flex_modify_insert_rows(EState *state, ResultRelInfo *info, TupleTableSlot **slots, TupleTableSlot **plan_slots,
						int *count)
{
	write_slots(info->ri_FdwState, slots, *count);
	return slots;
}

/* GetForeignModifyBatchSize: 1 if each row has to be seen before the next one is sent. */
int
flex_modify_rows_at_once(ResultRelInfo *info)
{
	const TableModification *modification = info->ri_FdwState;
	const TriggerDesc *triggers = info->ri_TrigDesc;

	if (modification == NULL || info->ri_projectReturning != NULL || info->ri_WithCheckOptions != NIL ||
		(triggers != NULL && (triggers->trig_insert_before_row || triggers->trig_insert_after_row)))
		return 1;
	return Min(flex_row_writer_table(modification->writer)->concurrency * GOES, MOST_AT_ONCE);
}

/* Return the traffic of the statement's requests; NULL if it is not executed. */
const Traffic *
flex_modify_traffic(const ResultRelInfo *info)
{
	const TableModification *modification = info->ri_FdwState;

	return modification != NULL ? flex_row_writer_traffic(modification->writer) : NULL;
}

/* EndForeignModify and EndForeignInsert: the statement has succeeded as far as this table is concerned. */
void
flex_modify_end(EState *state, ResultRelInfo *info)
{
	TableModification *modification = info->ri_FdwState;

	if (modification != NULL)
		flex_row_writer_end(modification->writer);
}
