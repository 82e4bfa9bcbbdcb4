/*
 * call.c
 *		SQL entry point of all operations except the lists.
 *
 * All their functions share flex_api_call().  What it sends follows from the operation's
 * row in the catalogue and from the definition of the SQL function that was called.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "http/exchange.h"
#include "request/signature.h"

PG_FUNCTION_INFO_V1(flex_api_call);

/* Send the request of a call, and return the row of its answer, in the context "caller"; 0 if there is no row. */
static Datum
fetch_row(Signature *signature, const NullableDatum *values, MemoryContext caller)
{
	HttpRequest *request = flex_request_build(signature->operation, signature->parameters, signature->count, values);
	const Outcome *answer = flex_exchange_finish(flex_exchange_begin(request, NULL));
	MemoryContext context = CurrentMemoryContext;
	volatile Datum result = (Datum) 0;

	if (signature->decoder == NULL)
		return (Datum) 0;
	PG_TRY();
	{
		HeapTuple row = flex_decode_answer(signature->decoder, answer->body, answer->body_length);

		MemoryContextSwitchTo(caller);
		result = heap_copy_tuple_as_datum(row, flex_decoder_desc(signature->decoder));
	}
	PG_CATCH();
	{
		flex_outcome_raise_unread(answer, context);
	}
	PG_END_TRY();
	return result;
}

/* The C function of any operation whose answer is one object or empty. */
PGDLLEXPORT Datum
flex_api_call(PG_FUNCTION_ARGS)
{
	Signature *signature = flex_signature_of_call(fcinfo);
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "flex_api call", ALLOCSET_DEFAULT_SIZES);
	volatile Datum result = (Datum) 0;

	MemoryContextSwitchTo(work);
	PG_TRY();
	{
		NullableDatum *values = palloc(sizeof(NullableDatum) * Max(signature->count, 1));

		flex_signature_values(signature, fcinfo, values);
		result = fetch_row(signature, values, caller);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(work);
	}
	PG_END_TRY();
	PG_RETURN_DATUM(result);
}
