/*
 * modify_plan.c
 *		Planning of INSERT, UPDATE and DELETE on a foreign table.
 *
 * A command for which the service has no operation is refused here, with a hint about those
 * that it has.  A DELETE without row triggers and RETURNING is planned as a direct
 * modification: the scan reads all rows, and then deletes them, several at once.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "foreign/fdwapi.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/inherit.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "foreign/modify_plan.h"
#include "foreign/plan.h"
#include "foreign/remote_table.h"
#include "foreign/row_writer.h"

/* IsForeignRelUpdatable: return the commands for which the table's resource has operations, as a bitmask. */
int
flex_modify_updatable(Relation relation)
{
	static const CmdType commands[] = {CMD_INSERT, CMD_UPDATE, CMD_DELETE};
	/* The information schema calls this for every table: it must not raise an error for a table without a resource. */
	const Resource *resource = flex_remote_table_resource(RelationGetRelid(relation));
	int updatable = 0;

	for (size_t i = 0; i < lengthof(commands); i++)
	{
		if (resource != NULL && flex_resource_operation(resource, flex_operation_of_command(commands[i])) != NULL)
			updatable |= 1 << commands[i];
	}
	return updatable;
}

/* Return what can be done with a table, for a hint: "read, inserted into". */
static const char *
abilities(const RemoteTable *table)
{
	static const struct
	{
		ResourceOperation operation;
		const char *words;
	} all[] = {
		{RESOURCE_CREATE, "inserted into"},
		{RESOURCE_UPDATE, "updated"},
		{RESOURCE_DELETE, "deleted from"},
	};
	const char *words = NULL;

	if (table->operations[RESOURCE_LIST] != NULL || table->operations[RESOURCE_FETCH] != NULL)
		words = "read";
	for (size_t i = 0; i < lengthof(all); i++)
	{
		if (table->operations[all[i].operation] != NULL)
			words = words == NULL ? all[i].words : psprintf("%s, %s", words, all[i].words);
	}
	return words;
}

/* Raise 55000 if the service has no operation for a command. */
static void
check_command(const RemoteTable *table, CmdType command)
{
	const char *verb = command == CMD_INSERT ? "inserts" : command == CMD_UPDATE ? "updates" : "deletes";

	if (table->operations[flex_operation_of_command(command)] == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("foreign table \"%s\" does not allow %s", get_rel_name(table->relation), verb),
						errdetail("The Flex API has no such operation on %s.", table->resource->name),
						errhint("The table can be %s.", abilities(table))));
}

/* Raise HV005 if the table lacks a column that identifies the row for an operation. */
static void
check_names(const RemoteTable *table, const Signature *operation)
{
	for (int i = 0; i < operation->count; i++)
	{
		const Parameter *parameter = &operation->parameters[i];

		if (parameter->place == PLACE_PATH && flex_remote_table_column(table, parameter->name) == InvalidAttrNumber)
			ereport(ERROR, (errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
							errmsg("foreign table \"%s\" has no column \"%s\"", get_rel_name(table->relation),
								   parameter->name),
							errdetail("%s cannot be called without it.", operation->operation->name),
							errhint("Use ALTER FOREIGN TABLE ... ADD COLUMN, or import the table.")));
	}
}

/* Return the names of the columns that an operation takes, except those that identify the row, for a hint. */
static const char *
columns_of_operation(const RemoteTable *table, const Signature *operation)
{
	const char *names = NULL;

	for (int i = 0; i < operation->count; i++)
	{
		const Parameter *parameter = &operation->parameters[i];
		AttrNumber column = flex_remote_table_column(table, parameter->name);
		const char *name;

		if (parameter->place == PLACE_PATH || column == InvalidAttrNumber)
			continue;
		name = NameStr(TupleDescAttr(table->desc, column - 1)->attname);
		names = names == NULL ? name : psprintf("%s, %s", names, name);
	}
	return names == NULL ? "none" : names;
}

/* Raise HV007 if UPDATE sets a column that the operation does not take, or that identifies the row. */
static void
check_set_column(const RemoteTable *table, const Signature *operation, AttrNumber column)
{
	const RemoteColumn *remote = &table->columns[column - 1];
	bool names_row = flex_row_names_itself_by(operation, remote->name);

	if (!names_row && flex_row_sends_column(operation, remote->name))
		return;
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
					errmsg("column \"%s\" of foreign table \"%s\" cannot be updated",
						   NameStr(TupleDescAttr(table->desc, column - 1)->attname), get_rel_name(table->relation)),
					names_row ? errdetail("It identifies the row.")
							  : errdetail("%s has no such argument.", operation->operation->name),
					errhint("Columns that can be: %s.", columns_of_operation(table, operation))));
}

/*
 * AddForeignUpdateTargets: DELETE needs the whole old row.  For UPDATE, preptlist.c adds it by itself.  Raise
 * 55000 if the service has no operation for the command.
 */
void
flex_modify_add_targets(PlannerInfo *root, Index index, RangeTblEntry *entry, Relation relation)
{
	CmdType command = root->parse->commandType;

	/* Already here, or else the scan could first be refused because it lacks a condition. */
	if (index == (Index) root->parse->resultRelation && (command == CMD_UPDATE || command == CMD_DELETE))
		check_command(flex_remote_table_open(entry->relid), command);
	if (command == CMD_DELETE)
		add_row_identity_var(root, makeVar(index, InvalidAttrNumber, RECORDOID, -1, InvalidOid, 0), index,
							 FLEX_WHOLE_ROW);
}

/* Return the columns that a statement sends, as an integer list. */
static List *
columns_to_send(PlannerInfo *root, const RemoteTable *table, CmdType command, Index index)
{
	const Signature *operation = table->operations[flex_operation_of_command(command)];
	Bitmapset *set = command == CMD_UPDATE ? get_rel_all_updated_cols(root, find_base_rel(root, index)) : NULL;
	List *columns = NIL;

	for (AttrNumber column = 1; column <= table->desc->natts; column++)
	{
		const RemoteColumn *remote = &table->columns[column - 1];

		if (remote->name == NULL || command == CMD_DELETE)
			continue;
		/* A generated column has a value without being set; it is sent only if the operation takes it. */
		if (remote->is_generated && !flex_row_sends_column(operation, remote->name))
			continue;
		if (command == CMD_UPDATE && !bms_is_member(column - FirstLowInvalidHeapAttributeNumber, set))
			continue;
		if (command == CMD_UPDATE)
			check_set_column(table, operation, column);
		columns = lappend_int(columns, column);
	}
	return columns;
}

/* Raise 0A000 for INSERT ... ON CONFLICT. */
void
flex_modify_refuse_on_conflict(const char *table)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("ON CONFLICT is not supported for foreign table \"%s\"", table),
					errdetail("The Flex API does not say what a new row conflicts with.")));
}

/*
 * PlanForeignModify: return fdw_private, a list of two.  The first is the list of columns to
 * be sent; the second is 1 if RETURNING or WITH CHECK OPTION needs the rows that the service
 * returns.
 */
List *
flex_modify_plan(PlannerInfo *root, ModifyTable *plan, Index index, int subplan)
{
	CmdType command = plan->operation;
	RangeTblEntry *entry = planner_rt_fetch(index, root);
	const RemoteTable *table = flex_remote_table_open(entry->relid);

	check_command(table, command);
	if (plan->onConflictAction != ONCONFLICT_NONE)
		flex_modify_refuse_on_conflict(get_rel_name(table->relation));
	if (command != CMD_INSERT)
		check_names(table, table->operations[flex_operation_of_command(command)]);
	return list_make2(columns_to_send(root, table, command, index),
					  makeInteger(plan->returningLists != NIL || plan->withCheckOptionLists != NIL));
}

/* Return the columns to be sent from the list that flex_modify_plan() made. */
Bitmapset *
flex_modify_plan_columns(const List *plan)
{
	Bitmapset *columns = NULL;
	ListCell *cell;

	foreach (cell, (List *) linitial(plan))
		columns = bms_add_member(columns, lfirst_int(cell));
	return columns;
}

/* Return from that list whether the rows of the answers are needed, triggers not considered. */
bool
flex_modify_plan_wants_rows(const List *plan)
{
	return intVal(lsecond(plan)) != 0;
}

/*
 * PlanDirectModify: let the scan delete the rows that it finds, if the plan is nothing but a
 * scan of the table.  Conditions that are not sent do not prevent that, as the scan evaluates
 * them for each row.
 */
bool
flex_modify_plan_direct(PlannerInfo *root, ModifyTable *plan, Index index, int subplan)
{
	ForeignScan *scan = (ForeignScan *) outerPlan(plan);
	const RemoteTable *table;
	const Signature *operation;
	Bitmapset *needed = NULL;

	if (plan->operation != CMD_DELETE || plan->returningLists != NIL || !IsA(scan, ForeignScan) ||
		scan->scan.scanrelid != index || list_length(plan->resultRelations) != 1)
		return false;
	table = flex_remote_table_open(planner_rt_fetch(index, root)->relid);
	check_command(table, CMD_DELETE);
	operation = table->operations[RESOURCE_DELETE];
	check_names(table, operation);
	pull_varattnos((Node *) scan->scan.plan.qual, index, &needed);
	for (int i = 0; i < operation->count; i++)
	{
		if (operation->parameters[i].place == PLACE_PATH)
			needed = bms_add_member(needed, flex_remote_table_column(table, operation->parameters[i].name) -
												FirstLowInvalidHeapAttributeNumber);
	}
	flex_scan_plan_delete(scan, table, needed, plan->canSetTag);
	scan->operation = CMD_DELETE;
	scan->resultRelation = index;
	return true;
}
