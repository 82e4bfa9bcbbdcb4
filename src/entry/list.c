/*
 * list.c
 *		SQL entry point of the operations that answer with pages.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "http/pages.h"
#include "request/signature.h"

#define MOST_ROWS_A_PAGE 1000

PG_FUNCTION_INFO_V1(flex_api_list);

/*
 * Choose a page size where the caller did not: the fewest pages, and among
 * those the fewest rows that nobody asked for.
 */
static void
choose_page_size(const Signature *signature, NullableDatum *values, int64 max_rows)
{
	NullableDatum *value = &values[flex_signature_position(signature, "page_size", INT4OID)];
	int64 pages;

	if (!value->isnull)
		return;
	value->isnull = false;
	value->value = Int32GetDatum(MOST_ROWS_A_PAGE);
	if (max_rows == 0 || max_rows > PG_INT32_MAX)
		return;
	pages = (max_rows + MOST_ROWS_A_PAGE - 1) / MOST_ROWS_A_PAGE;
	value->value = Int32GetDatum((int32) ((max_rows + pages - 1) / pages));
}

/* Fetch a list; all memory is in the current context. */
static void
list(FunctionCallInfo fcinfo)
{
	Signature *signature = flex_signature_of_call(fcinfo);
	NullableDatum *values = palloc(sizeof(NullableDatum) * signature->count);
	int64 max_rows;
	HttpRequest *request;

	flex_signature_values(signature, fcinfo, values);
	max_rows = flex_pages_max_rows(signature->operation->name,
								   &values[flex_signature_position(signature, "max_rows", INT8OID)]);
	choose_page_size(signature, values, max_rows);
	request = flex_request_build(signature->operation, signature->parameters, signature->count, values);
	flex_pages_fetch(request, (ReturnSetInfo *) fcinfo->resultinfo, signature->decoder, NULL, max_rows);
}

/* Any operation that answers with pages of rows; see the file's head. */
PGDLLEXPORT Datum
flex_api_list(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "flex_api list", ALLOCSET_DEFAULT_SIZES);

	InitMaterializedSRF(fcinfo, 0);
	MemoryContextSwitchTo(work);
	PG_TRY();
	{
		list(fcinfo);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(work);
	}
	PG_END_TRY();
	PG_RETURN_NULL();
}
