/*
 * direct_delete.c
 *		Direct modification: a DELETE that the foreign scan does itself.
 *
 * All rows are found before the first one is deleted.  Otherwise the deletions would shift
 * the pages of the list that is still being read, and rows would be skipped.  Only the
 * columns that identify a row are kept in memory.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "foreign/modify.h"
#include "foreign/row_writer.h"

/* State of the DELETE, in fdw_state. */
typedef struct DirectDelete
{
	void *scan;            /* state of the scan below; see next_row() */
	RowWriter *writer;     /* NULL: EXPLAIN without ANALYZE */
	MemoryContext context; /* of the array and its rows */
	HeapTuple *found;      /* array of the rows to be deleted */
	int count;
	int capacity;
	int64 deleted;
	bool is_done;
} DirectDelete;

/* BeginDirectModify: the state is allocated in the current context, which is that of the query. */
void
flex_delete_begin(ForeignScanState *node, int eflags)
{
	DirectDelete *delete = palloc0(sizeof(DirectDelete));
	Oid user = flex_scan_user(node);

	flex_scan_begin(node, eflags);
	delete->scan = node->fdw_state;
	node->fdw_state = delete;
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	delete->context = AllocSetContextCreate(CurrentMemoryContext, "flex_api rows to delete", ALLOCSET_DEFAULT_SIZES);
	delete->writer = flex_row_writer_create(flex_remote_table_open(RelationGetRelid(node->ss.ss_currentRelation)),
											RESOURCE_DELETE, NULL, OidIsValid(user) ? user : GetUserId(), false);
}

/* Return the next row of the scan, which expects its own state in fdw_state while it runs. */
static TupleTableSlot *
next_row(ForeignScanState *node, DirectDelete *delete)
{
	TupleTableSlot *slot;

	node->fdw_state = delete->scan;
	slot = flex_scan_next(node);
	node->fdw_state = delete;
	/* The executor sets this for rows that it gets; the quals are evaluated here before it does. */
	if (!TupIsNull(slot))
		slot->tts_tableOid = RelationGetRelid(node->ss.ss_currentRelation);
	return slot;
}

/* Copy the columns that identify a row; the others are NULL in the copy. */
static void
keep_row(DirectDelete *delete, TupleTableSlot *slot, const Signature *operation)
{
	const RemoteTable *table = flex_row_writer_table(delete->writer);
	MemoryContext before = MemoryContextSwitchTo(delete->context);
	bool *nulls = palloc(sizeof(bool) * Max(table->desc->natts, 1));

	for (int i = 0; i < table->desc->natts; i++)
		nulls[i] = slot->tts_isnull[i] || table->columns[i].name == NULL ||
				   !flex_row_names_itself_by(operation, table->columns[i].name);
	if (delete->count == delete->capacity)
	{
		delete->capacity = Max(delete->capacity * 2, 64);
		delete->found = delete->found == NULL ? palloc_extended(sizeof(HeapTuple) * delete->capacity, MCXT_ALLOC_HUGE)
											  : repalloc_huge(delete->found, sizeof(HeapTuple) * delete->capacity);
	}
	delete->found[delete->count++] = heap_form_tuple(table->desc, slot->tts_values, nulls);
	pfree(nulls);
	MemoryContextSwitchTo(before);
}

/* Collect all rows that satisfy the quals. */
static void
find_rows(ForeignScanState *node, DirectDelete *delete)
{
	const Signature *operation = flex_row_writer_table(delete->writer)->operations[RESOURCE_DELETE];
	ExprContext *context = node->ss.ps.ps_ExprContext;
	TupleTableSlot *slot = next_row(node, delete);

	/* CurrentMemoryContext is the per-tuple context, as in any scan: it is reset after each row. */
	while (!TupIsNull(slot))
	{
		CHECK_FOR_INTERRUPTS();
		context->ecxt_scantuple = slot;
		if (node->ss.ps.qual == NULL || ExecQual(node->ss.ps.qual, context))
			keep_row(delete, slot, operation);
		else
			InstrCountFiltered1(node, 1);
		ResetExprContext(context);
		slot = next_row(node, delete);
	}
}

/* RowsToWrite.get */
static void
get_row(void *state, int index, Datum *values, bool *nulls)
{
	const DirectDelete *delete = state;

	heap_deform_tuple(delete->found[index], flex_row_writer_table(delete->writer)->desc, values, nulls);
}

/* RowsToWrite.took */
static void
count_row(void *state, int index, Datum *values, bool *nulls)
{
	((DirectDelete *) state)->deleted++;
}

/* IterateDirectModify: delete all rows when first called.  Return an empty slot. */
TupleTableSlot *
flex_delete_all(ForeignScanState *node)
{
	DirectDelete *delete = node->fdw_state;

	if (!delete->is_done)
	{
		RowsToWrite rows = {.get = get_row, .took = count_row, .state = delete};

		find_rows(node, delete);
		rows.count = delete->count;
		if (rows.count > 0)
			flex_row_writer_write(delete->writer, &rows);
		if (flex_scan_plan((ForeignScan *) node->ss.ps.plan).counts_deleted)
			node->ss.ps.state->es_processed += delete->deleted;
		delete->is_done = true;
	}
	return ExecClearTuple(node->ss.ss_ScanTupleSlot);
}

/* Return what EXPLAIN shows of the scan that finds the rows. */
ScanReport
flex_delete_report(ForeignScanState *node)
{
	DirectDelete *delete = node->fdw_state;
	ScanReport report;

	node->fdw_state = delete->scan;
	report = flex_scan_report(node);
	node->fdw_state = delete;
	return report;
}

/* Return the traffic of the requests that delete; NULL if the statement is not executed. */
const Traffic *
flex_delete_traffic(const ForeignScanState *node)
{
	const DirectDelete *delete = node->fdw_state;

	return delete->writer != NULL ? flex_row_writer_traffic(delete->writer) : NULL;
}

/* EndDirectModify */
void
flex_delete_end(ForeignScanState *node)
{
	DirectDelete *delete = node->fdw_state;

	if (delete == NULL)
		return;
	if (delete->writer != NULL)
		flex_row_writer_end(delete->writer);
	node->fdw_state = delete->scan;
	flex_scan_end(node);
}
