/*
 * scan.c
 *		Reads a list as the scan of a table would, for a_scan_reads_a_list.pl.
 *
 * It is linked with the extension's objects and loaded in the extension's place.
 * There is one scan at a time, in a context of the (sub)transaction that begins it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "http/pages.h"
#include "outbox/access.h"
#include "request/json_arguments.h"

typedef struct Scan
{
	Signature *signature;
	RowDecoder *decoder;
	Pages *pages;
	MemoryContextCallback at_end;
} Scan;

static Scan *scan;

PG_FUNCTION_INFO_V1(scan_begin);
PG_FUNCTION_INFO_V1(scan_read);
PG_FUNCTION_INFO_V1(scan_rescan);
PG_FUNCTION_INFO_V1(scan_end);
PG_FUNCTION_INFO_V1(scan_signature);
PG_FUNCTION_INFO_V1(scan_look_up);

static void
forget_scan(void *argument)
{
	scan = NULL;
}

static Signature *
signature_of(text *name)
{
	return flex_signature_of_operation(flex_operation_find(text_to_cstring(name)), flex_outbox_schema(false));
}

/* scan_begin(operation text, arguments jsonb, most_rows bigint, look_ahead boolean) */
PGDLLEXPORT Datum
scan_begin(PG_FUNCTION_ARGS)
{
	PagesOptions options = {.most_rows = PG_GETARG_INT64(2),
							.look_ahead = PG_GETARG_BOOL(3) ? LOOK_AHEAD_ALWAYS : LOOK_AHEAD_NEVER};
	MemoryContext context = AllocSetContextCreate(CurTransactionContext, "scan", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	NullableDatum *values;

	scan = palloc0(sizeof(Scan));
	scan->at_end.func = forget_scan;
	MemoryContextRegisterResetCallback(context, &scan->at_end);
	scan->signature = signature_of(PG_GETARG_TEXT_PP(0));
	scan->decoder = flex_signature_decoder(scan->signature);
	values = palloc(sizeof(NullableDatum) * scan->signature->count);
	flex_json_arguments_unpack(scan->signature, PG_GETARG_JSONB_P(1), values);
	options.decoder = scan->decoder;
	scan->pages = flex_pages_begin(flex_json_arguments_request(scan->signature, values), &options);
	MemoryContextSwitchTo(before);
	PG_RETURN_VOID();
}

/* scan_read(rows int) RETURNS text: the SIDs of so many rows, or of those that are left */
PGDLLEXPORT Datum
scan_read(PG_FUNCTION_ARGS)
{
	TupleDesc desc = flex_decoder_desc(scan->decoder);
	Datum *values = palloc(sizeof(Datum) * desc->natts);
	bool *nulls = palloc(sizeof(bool) * desc->natts);
	StringInfoData sids;
	int column = 0;

	while (strcmp(NameStr(TupleDescAttr(desc, column)->attname), "sid") != 0)
		column++;
	initStringInfo(&sids);
	for (int i = 0; i < PG_GETARG_INT32(0) && flex_pages_next_row(scan->pages, values, nulls); i++)
		appendStringInfo(&sids, "%s%s", sids.len > 0 ? " " : "", TextDatumGetCString(values[column]));
	PG_RETURN_TEXT_P(cstring_to_text(sids.data));
}

PGDLLEXPORT Datum
scan_rescan(PG_FUNCTION_ARGS)
{
	flex_pages_rescan(scan->pages);
	PG_RETURN_VOID();
}

PGDLLEXPORT Datum
scan_end(PG_FUNCTION_ARGS)
{
	flex_pages_end(scan->pages);
	scan->pages = NULL;
	PG_RETURN_VOID();
}

/* scan_signature() RETURNS text: what the scan's signature says */
PGDLLEXPORT Datum
scan_signature(PG_FUNCTION_ARGS)
{
	StringInfoData told;

	initStringInfo(&told);
	appendStringInfoString(&told, scan->signature->operation->name);
	for (int i = 0; i < scan->signature->count; i++)
		appendStringInfo(&told, " %s=%s", scan->signature->parameters[i].name, scan->signature->parameters[i].wire);
	PG_RETURN_TEXT_P(cstring_to_text(told.data));
}

/* scan_look_up(operation text): another signature is asked for */
PGDLLEXPORT Datum
scan_look_up(PG_FUNCTION_ARGS)
{
	(void) signature_of(PG_GETARG_TEXT_PP(0));
	PG_RETURN_VOID();
}
