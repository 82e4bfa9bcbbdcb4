/*
 * list.c
 *		SQL entry point of the operations whose answers are pages of a list.
 *
 * All rows are put into a tuplestore, which spills to disk.  Apart from that, no more than
 * two pages and one row are in memory at any time.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "entry/list.h"
#include "request/signature.h"

PG_FUNCTION_INFO_V1(flex_api_list);

/* Return the value of an argument max_rows, PG_INT64_MAX for NULL.  Raises 22023 if it is negative. */
int64
flex_list_max_rows(const char *function, const NullableDatum *value)
{
	if (value->isnull)
		return PG_INT64_MAX;
	if (DatumGetInt64(value->value) < 0)
		flex_argument_refuse(function, "max_rows", psprintf(INT64_FORMAT, DatumGetInt64(value->value)), false,
							 "a number from 0 on, or NULL for all rows");
	return DatumGetInt64(value->value);
}

/* Error context callback: which list's rows could not be stored. */
static void
describe_list(void *argument)
{
	const HttpRequest *request = argument;

	errcontext("Flex API request %s %s", request->method, request->path);
}

/* Fetch a list, and put its rows into the function's result. */
static void
store_rows(const ListCall *call, ReturnSetInfo *result)
{
	PagesOptions options = {
		.decoder = call->decoder,
		.member = call->member,
		.most_rows = call->max_rows,
		.look_ahead = LOOK_AHEAD_ALWAYS,
	};
	Pages *pages = flex_pages_begin(call->request, &options);
	int natts = result->setDesc->natts;
	Datum *values = palloc(sizeof(Datum) * natts);
	bool *nulls = palloc(sizeof(bool) * natts);
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "flex_api row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(row);
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_list,
		.arg = call->request,
	};

	Assert(natts == (call->decoder != NULL ? flex_decoder_desc(call->decoder)->natts : 1));
	while (flex_pages_next_row(pages, values, nulls))
	{
		error_context_stack = &context;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		error_context_stack = context.previous;
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(before);
	flex_pages_end(pages);
}

/*
 * Return the rows of a list as the result of a set-returning function.  prepare reads the
 * arguments; materialize_flags are those of InitMaterializedSRF().  Everything is allocated in
 * a context of its own, which is deleted at the end.
 */
Datum
flex_list_return(FunctionCallInfo fcinfo, int materialize_flags, ListPreparation prepare)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "flex_api list", ALLOCSET_DEFAULT_SIZES);

	InitMaterializedSRF(fcinfo, materialize_flags);
	MemoryContextSwitchTo(work);
	PG_TRY();
	{
		ListCall call = prepare(fcinfo);

		store_rows(&call, (ReturnSetInfo *) fcinfo->resultinfo);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(work);
	}
	PG_END_TRY();
	PG_RETURN_NULL();
}

/* Read the arguments of an operation's function. */
static ListCall
prepare_operation(FunctionCallInfo fcinfo)
{
	Signature *signature = flex_signature_of_call(fcinfo);
	NullableDatum *values = palloc(sizeof(NullableDatum) * signature->count);
	ListCall call = {.decoder = signature->decoder};
	NullableDatum *page_size;

	flex_signature_values(signature, fcinfo, values);
	call.max_rows = flex_list_max_rows(signature->operation->name,
									   &values[flex_signature_position(signature, "max_rows", INT8OID)]);
	page_size = &values[flex_signature_position(signature, "page_size", INT4OID)];
	if (page_size->isnull)
		*page_size = (NullableDatum){.value = Int32GetDatum(flex_pages_best_size(call.max_rows))};
	call.request = flex_request_build(signature->operation, signature->parameters, signature->count, values);
	call.request->way = WAY_LIST;
	return call;
}

/* The C function of any operation whose answers are pages of a list. */
PGDLLEXPORT Datum
flex_api_list(PG_FUNCTION_ARGS)
{
	return flex_list_return(fcinfo, 0, prepare_operation);
}
