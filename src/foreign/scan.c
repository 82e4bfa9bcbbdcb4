/*
 * scan.c
 *		Scans of foreign tables: rows are returned as they arrive, from a list or from fetches.
 *
 * The first request is sent when the first row is asked for.  A list is read page by page,
 * with at most two pages in memory.  A row is allocated in the executor's per-tuple context.
 *
 * A rescan with unchanged values of its conditions begins with what is still in memory: the
 * first page of a list, or rows that were fetched by key, if those are not many.
 *
 * Under an asynchronous Append several scans are executed at the same time: a scan that
 * would have to wait says so, and provides a descriptor to wait for.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/execAsync.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/effective.h"
#include "foreign/lookups.h"
#include "foreign/scan.h"
#include "foreign/sent_values.h"
#include "http/pages.h"

#define MOST_KEPT_ROWS 100 /* rows of fetches are kept for a rescan if they are not more */

/* State of a scan, in fdw_state. */
typedef struct TableScan
{
	RemoteTable *table;
	char *name; /* of the table, for an error's context */
	ScanPlan plan;
	RowDecoder *decoder;
	Endpoint *endpoint;
	Traffic traffic;
	SentValues *values;

	/* Of what is read with the current values; reset when a rescan has others. */
	MemoryContext context;
	bool is_begun;
	bool is_to_rescan;
	Pages *pages;     /* NULL: it is not a list, or no row can match */
	Lookups *lookups; /* NULL: there are no fetches, or no row can match */
	char **keys;      /* of the lookups, without duplicates; NULL: there is one lookup, without keys */
	List *kept;       /* HeapTuple: rows of the lookups so far, if is_keeping */
	bool is_keeping;  /* a rescan can begin with the kept rows */
	int next_kept;    /* index of the next one to be returned */
	int64 rows;       /* returned since the scan or rescan began */

	/* If all rows are read first */
	Tuplestorestate *store; /* NULL: they have not been read yet */
	TupleTableSlot *stored; /* holds the row that was taken out last */

	bool is_waiting;    /* the last call returned no row because it would have had to wait */
	bool must_not_wait; /* asynchronous execution */
} TableScan;

/* BeginForeignScan.  EXPLAIN without ANALYZE works without credentials, so none are looked for. */
void
flex_scan_begin(ForeignScanState *node, int eflags)
{
	const ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	TableScan *scan = palloc0(sizeof(TableScan));
	Bitmapset *needed = NULL;
	Oid user = flex_scan_user(node);
	ListCell *cell;

	node->fdw_state = scan;
	scan->table = flex_remote_table_open(RelationGetRelid(node->ss.ss_currentRelation));
	scan->name = pstrdup(RelationGetRelationName(node->ss.ss_currentRelation));
	scan->plan = flex_scan_plan(plan);
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	flex_effective_check_displaced();
	flex_effective_check_known();
	scan->endpoint = flex_endpoint_of_server(scan->table->server, OidIsValid(user) ? user : GetUserId());
	foreach (cell, scan->plan.needed)
		needed = bms_add_member(needed, lfirst_int(cell));
	scan->decoder = flex_remote_table_decoder(scan->table, needed);
	scan->values = flex_sent_values_prepare(scan->table, scan->plan, plan->fdw_exprs, &node->ss.ps);
	scan->context = AllocSetContextCreate(CurrentMemoryContext, "flex_api scan", ALLOCSET_DEFAULT_SIZES);
	scan->must_not_wait = node->ss.ps.async_capable && !scan->plan.reads_first;
	if (scan->plan.reads_first)
		scan->stored = MakeSingleTupleTableSlot(scan->table->desc, &TTSOpsMinimalTuple);
}

/* LookupsOptions.make: build the request of a row. */
static HttpRequest *
make_lookup(void *state, int index)
{
	const TableScan *scan = state;

	return flex_sent_values_request(scan->values, scan->keys != NULL ? scan->keys[index] : NULL);
}

/* Begin to fetch rows by key; nothing is sent yet.  scan->lookups stays NULL if no row can match. */
static void
begin_lookups(TableScan *scan)
{
	LookupsOptions options = {
		.count = 1,
		.concurrency = scan->table->concurrency,
		.endpoint = scan->endpoint,
		.traffic = &scan->traffic,
		.make = make_lookup,
		.state = scan,
	};

	if (!flex_sent_values_can_name(scan->values))
		return;
	if (scan->plan.keys >= 0)
		scan->keys = flex_sent_values_keys(scan->values, &options.count);
	/* Do not fetch more rows in advance than the query is expected to ask for. */
	if (scan->plan.expected_rows < options.concurrency)
		options.concurrency = Max((int) scan->plan.expected_rows, 1);
	scan->is_keeping = options.count <= MOST_KEPT_ROWS;
	scan->lookups = flex_lookups_begin(&options);
}

/* Begin to read the list.  scan->pages stays NULL if no row can match. */
static void
begin_pages(TableScan *scan)
{
	PagesOptions options = {
		.decoder = scan->decoder,
		.most_rows = PG_INT64_MAX,
		.look_ahead = LOOK_AHEAD_LATER,
		.expected_rows = scan->plan.expected_rows,
		.endpoint = scan->endpoint,
		.traffic = &scan->traffic,
	};

	/* A value that no path can contain is the name of nothing: there are no rows. */
	if (!flex_sent_values_can_name(scan->values))
		return;
	scan->pages = flex_pages_begin(flex_sent_values_request(scan->values, NULL), &options);
}

/* Begin to read or, if the values are unchanged and the rows are still there, rewind to the first row. */
static void
begin_reading(TableScan *scan, ForeignScanState *node)
{
	NullableDatum *now = palloc(sizeof(NullableDatum) * Max(flex_sent_values_count(scan->values), 1));
	MemoryContext before;

	scan->rows = 0;
	scan->next_kept = 0;
	if (flex_sent_values_evaluate(scan->values, node->ss.ps.ps_ExprContext, now) &&
		(scan->store != NULL || scan->pages != NULL || scan->is_keeping || scan->lookups == NULL))
	{
		if (scan->store != NULL)
			tuplestore_rescan(scan->store);
		else if (scan->pages != NULL)
			flex_pages_rescan(scan->pages);
		return;
	}
	if (scan->store != NULL)
		tuplestore_end(scan->store);
	scan->store = NULL;
	MemoryContextReset(scan->context);
	scan->pages = NULL;
	scan->lookups = NULL;
	scan->keys = NULL;
	scan->kept = NIL;
	before = MemoryContextSwitchTo(scan->context);
	if (!flex_sent_values_keep(scan->values, now))
		scan->is_keeping = true;
	else if (scan->plan.operation == RESOURCE_LIST)
		begin_pages(scan);
	else
		begin_lookups(scan);
	MemoryContextSwitchTo(before);
	scan->is_begun = true;
}

/* Set the columns of arguments, which no answer contains, to the values that were sent. */
static void
fill_arguments(const TableScan *scan, Datum *values, bool *nulls)
{
	for (int i = 0; i < scan->table->desc->natts; i++)
	{
		const Datum *value =
			scan->table->columns[i].is_argument ? flex_sent_values_of_column(scan->values, i + 1) : NULL;

		if (value == NULL)
			continue;
		values[i] = *value;
		nulls[i] = false;
	}
}

/*
 * Set the key of a row to NULL if the row was asked for by another of its names, such as a
 * plugin's unique name.  The executor checks the condition on the key again, so it then drops
 * the row.  If the row's own key is among the keys, it would be returned twice otherwise.
 */
static void
drop_alias(const TableScan *scan, int index, const Datum *values, bool *nulls)
{
	int key = scan->keys != NULL ? list_nth_int(scan->plan.columns, scan->plan.keys) - 1 : -1;

	if (key >= 0 && !nulls[key] && strcmp(TextDatumGetCString(values[key]), scan->keys[index]) != 0)
		nulls[key] = true;
}

/* Return the next row of the fetches, from the kept rows if it has been fetched before. */
static bool
next_lookup(TableScan *scan, Datum *values, bool *nulls)
{
	MemoryContext before;
	int index;

	if (scan->next_kept < list_length(scan->kept))
	{
		heap_deform_tuple(list_nth(scan->kept, scan->next_kept++), scan->table->desc, values, nulls);
		return true;
	}
	if (!flex_lookups_next_row(scan->lookups, scan->decoder, values, nulls, &index))
		return false;
	drop_alias(scan, index, values, nulls);
	fill_arguments(scan, values, nulls);
	if (!scan->is_keeping)
		return true;
	before = MemoryContextSwitchTo(scan->context);
	scan->kept = lappend(scan->kept, heap_form_tuple(scan->table->desc, values, nulls));
	scan->next_kept++;
	MemoryContextSwitchTo(before);
	return true;
}

/* Set the columns of the next row, allocated in the current context.  Return false if there is none. */
static bool
next_row(TableScan *scan, Datum *values, bool *nulls)
{
	if (scan->lookups != NULL)
		return next_lookup(scan, values, nulls);
	if (scan->pages == NULL || !flex_pages_next_row(scan->pages, values, nulls))
		return false;
	fill_arguments(scan, values, nulls);
	return true;
}

/* Read all rows into the tuplestore. */
static void
read_all(TableScan *scan)
{
	int natts = Max(scan->table->desc->natts, 1);
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	MemoryContext row = AllocSetContextCreate(scan->context, "flex_api row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(scan->context);

	scan->store = tuplestore_begin_heap(false, false, work_mem);
	tuplestore_set_eflags(scan->store, EXEC_FLAG_REWIND);
	MemoryContextSwitchTo(row);
	while (next_row(scan, values, nulls))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(scan->store, scan->table->desc, values, nulls);
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(before);
	MemoryContextDelete(row);
}

/* Set the columns of the next row of the tuplestore, which remain valid until the next call. */
static bool
next_stored_row(TableScan *scan, Datum *values, bool *nulls)
{
	if (scan->store == NULL)
		read_all(scan);
	if (!tuplestore_gettupleslot(scan->store, true, false, scan->stored))
		return false;
	slot_getallattrs(scan->stored);
	memcpy(values, scan->stored->tts_values, sizeof(Datum) * scan->table->desc->natts);
	memcpy(nulls, scan->stored->tts_isnull, sizeof(bool) * scan->table->desc->natts);
	return true;
}

/* Go on without waiting.  Return false if the next row is not there yet. */
static bool
advance(TableScan *scan)
{
	if (scan->pages != NULL)
		return flex_pages_advance(scan->pages);
	if (scan->lookups != NULL && scan->next_kept == list_length(scan->kept))
		return flex_lookups_advance(scan->lookups);
	return true;
}

/* Error context callback: how far the scan had come. */
static void
describe_scan(void *argument)
{
	const TableScan *scan = argument;

	errcontext("scan of foreign table \"%s\", after " INT64_FORMAT " rows", scan->name, scan->rows);
}

/*
 * IterateForeignScan: return the next row, or an empty slot if there is none.  In
 * asynchronous execution the slot is empty, too, if the scan would have to wait.
 */
TupleTableSlot *
flex_scan_next(ForeignScanState *node)
{
	TableScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_scan,
		.arg = scan,
	};

	ExecClearTuple(slot);
	error_context_stack = &context;
	if (!scan->is_begun || scan->is_to_rescan)
		begin_reading(scan, node);
	scan->is_to_rescan = false;
	scan->is_waiting = scan->must_not_wait && !advance(scan);
	if (!scan->is_waiting && (scan->plan.reads_first ? next_stored_row(scan, slot->tts_values, slot->tts_isnull)
													 : next_row(scan, slot->tts_values, slot->tts_isnull)))
	{
		ExecStoreVirtualTuple(slot);
		scan->rows++;
	}
	error_context_stack = context.previous;
	return slot;
}

/* ReScanForeignScan: the new values are evaluated when the next row is asked for. */
void
flex_scan_again(ForeignScanState *node)
{
	TableScan *scan = node->fdw_state;

	scan->is_to_rescan = true;
}

/* EndForeignScan, in any state of the scan. */
void
flex_scan_end(ForeignScanState *node)
{
	TableScan *scan = node->fdw_state;

	if (scan == NULL)
		return;
	if (scan->store != NULL)
		tuplestore_end(scan->store);
	if (scan->stored != NULL)
		ExecDropSingleTupleTableSlot(scan->stored);
	if (scan->context != NULL)
		MemoryContextDelete(scan->context);
}

/* Return what EXPLAIN shows. */
ScanReport
flex_scan_report(ForeignScanState *node)
{
	const TableScan *scan = node->fdw_state;

	return (ScanReport){.table = scan->table, .plan = scan->plan, .traffic = scan->traffic};
}

/* IsForeignPathAsyncCapable: if there turns out to be no descriptor to wait for, the scan waits synchronously. */
bool
flex_scan_is_async_capable(ForeignPath *path)
{
	return true;
}

/* Return a descriptor that becomes readable when a waiting scan can go on; PGINVALID_SOCKET if there is none. */
static pgsocket
descriptor_of(TableScan *scan)
{
	return scan->pages != NULL ? flex_pages_descriptor(scan->pages) : flex_lookups_descriptor(scan->lookups);
}

/* ForeignAsyncRequest and ForeignAsyncNotify: answer with a row, with the end of the scan, or with "pending". */
void
flex_scan_request(AsyncRequest *request)
{
	ForeignScanState *node = (ForeignScanState *) request->requestee;
	TableScan *scan = node->fdw_state;
	TupleTableSlot *row = node->ss.ps.ExecProcNodeReal(&node->ss.ps);

	if (scan->is_waiting && descriptor_of(scan) == PGINVALID_SOCKET)
	{
		scan->must_not_wait = false;
		row = node->ss.ps.ExecProcNodeReal(&node->ss.ps);
	}
	if (scan->is_waiting)
		ExecAsyncRequestPending(request);
	else
		ExecAsyncRequestDone(request, TupIsNull(row) ? NULL : row);
}

/* ForeignAsyncConfigureWait: add the scan's descriptor to Append's wait event set. */
void
flex_scan_configure_wait(AsyncRequest *request)
{
	TableScan *scan = ((ForeignScanState *) request->requestee)->fdw_state;
	AppendState *append = (AppendState *) request->requestor;

	Assert(request->callback_pending && scan->is_waiting);
	AddWaitEventToSet(append->as_eventset, WL_SOCKET_READABLE, descriptor_of(scan), NULL, request);
}
