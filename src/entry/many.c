/*
 * many.c
 *		SQL entry point of flex_call_many(): many calls of one operation at once.
 *
 * The rows go into a tuplestore, which spills to disk.  One row per call of this
 * function would not stream, either, where it stands in FROM, and elsewhere a reader
 * that stops early would leave requests under way that nobody waits for: here LIMIT
 * cuts off rows, and never what is sent.
 *
 * What a row says of an error is read from the error that a direct call raises, which
 * is raised here, too, and caught at once.
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "answer/decoder.h"
#include "base/compat.h"
#include "base/effective.h"
#include "delivery/many_requests.h"
#include "delivery/rate_limits.h"
#include "entry/declaration.h"
#include "request/json_arguments.h"

#define FUNCTION "flex_call_many"
#define MOST_AT_ONCE 1000

PG_FUNCTION_INFO_V1(flex_api_call_many);

enum
{
	ARGUMENT_OPERATION,
	ARGUMENT_ARGUMENTS,
	ARGUMENT_CONCURRENCY
};

enum
{
	COLUMN_NUMBER,
	COLUMN_HTTP_STATUS,
	COLUMN_RESPONSE,
	COLUMN_ERROR_CODE,
	COLUMN_ERROR_MESSAGE,
	COLUMN_REQUEST_ID,
	COLUMN_SQLSTATE,
	COLUMNS
};

/* What flex_call_many() was called with, and where its rows go. */
typedef struct ManyCalls
{
	Signature *signature;
	RowDecoder *decoder; /* NULL: the answer has no row */
	Datum *arguments;    /* of jsonb, an element each */
	bool *nulls;
	ReturnSetInfo *result;
} ManyCalls;

/* The operation that is to be called; raises 22023, 42883, 42501 or 0A000 for one that cannot be. */
static Signature *
find_signature(const char *name, Oid schema)
{
	const Operation *operation = flex_operation_find(name);
	Signature *signature;
	AclResult result;

	if (operation == NULL)
		flex_argument_refuse_operation(FUNCTION, name);
	signature = flex_signature_of_operation(operation, schema);
	if (signature == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function %s does not exist", name),
						errhint("ALTER EXTENSION flex_api UPDATE makes the functions of the library's version.")));
	result = flex_function_aclcheck(signature->function, GetUserId());
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, name);
	if (signature->returns_set)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("lists cannot be called by %s", FUNCTION),
						errhint("Call %s itself, for instance in LATERAL.", name)));
	return signature;
}

/* Tell, in an error's context, whose arguments cannot be sent. */
static void
describe_element(void *argument)
{
	errcontext("element %d of argument \"arguments\"", *(const int *) argument + 1);
}

/* The request of an element, in the current context; raises what a direct call does, with the element's number. */
static HttpRequest *
make_request(void *state, int index)
{
	const ManyCalls *calls = state;
	const Signature *signature = calls->signature;
	NullableDatum *values = palloc(sizeof(NullableDatum) * Max(signature->count, 1));
	HttpRequest *request;
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_element,
		.arg = &index,
	};

	error_context_stack = &context;
	if (calls->nulls[index])
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("element %d of argument \"arguments\" is null", index + 1),
						errdetail("%s expects an array without nulls.", FUNCTION),
						errhint("An operation without arguments has an empty object.")));
	flex_json_arguments_unpack(signature, DatumGetJsonbP(calls->arguments[index]), values);
	request = flex_json_arguments_request(signature, values);
	request->way = WAY_MANY;
	error_context_stack = context.previous;
	return request;
}

/* Check all elements, and find out as whom they are sent. */
static void
check_requests(ManyCalls *calls, ManyRequests *many)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "flex_api check", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = CurrentMemoryContext;
	bool any_authorized = false;
	bool any_plain = false;
	List *services = NIL;
	ListCell *cell;

	for (int i = 0; i < many->count; i++)
	{
		const HttpRequest *request;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(context);
		request = make_request(calls, i);
		if (request->authorized)
			any_authorized = true;
		else
			any_plain = true;
		MemoryContextSwitchTo(before);
		/* They are literals. */
		services = list_append_unique_ptr(services, (void *) request->service);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
	if (any_authorized)
		many->without_identity = flex_endpoint_of_settings(GetUserId(), NULL, false);
	if (any_plain)
		many->endpoint = flex_endpoint_of_settings(GetUserId(), NULL, true);
	foreach (cell, services)
		(void) flex_endpoint_origin(any_plain ? many->endpoint : many->without_identity, lfirst(cell));
}

/* The body of a good answer as jsonb; NULL where a direct call returns none.  Raises what that does. */
static void
read_response(const ManyCalls *calls, const Outcome *outcome, NullableDatum *response)
{
	MemoryContext context = CurrentMemoryContext;

	if (outcome->verdict == VERDICT_DONE_BEFORE || (calls->decoder == NULL && !calls->signature->operation->custom))
		return;
	PG_TRY();
	{
		/* For what it refuses alone. */
		if (calls->decoder != NULL)
			(void) flex_decode_answer(calls->decoder, outcome->body, outcome->body_length);
		response->isnull = outcome->body_length == 0;
		if (!response->isnull)
			response->value = flex_decode_jsonb(outcome->body, outcome->body_length);
	}
	PG_CATCH();
	{
		flex_outcome_raise_unread(outcome, context);
	}
	PG_END_TRY();
}

/* True for an error in reading an answer that is the answer's fault, not the server's. */
static bool
is_of_answer(int sqlerrcode)
{
	static const int categories[] = {
		ERRCODE_CONNECTION_EXCEPTION,
		ERRCODE_DATA_EXCEPTION,
		ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	};

	for (size_t i = 0; i < lengthof(categories); i++)
	{
		if (ERRCODE_TO_CATEGORY(sqlerrcode) == categories[i])
			return true;
	}
	return false;
}

/* Read an answer, or return the error that a direct call would have raised, in the current context; NULL: none. */
static ErrorData *
try_to_read(const ManyCalls *calls, const Outcome *outcome, NullableDatum *response)
{
	MemoryContext context = CurrentMemoryContext;
	bool is_good = flex_outcome_is_good(outcome);
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		if (!is_good)
			flex_outcome_raise(outcome);
		read_response(calls, outcome, response);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = flex_error_take();
		if (is_good && !is_of_answer(error->sqlerrcode))
			flex_error_rethrow(error);
	}
	PG_END_TRY();
	return error;
}

/* Set a column to a text, or to NULL where there is none. */
static void
set_text(NullableDatum *column, const char *text)
{
	column->isnull = text == NULL;
	if (text != NULL)
		column->value = CStringGetTextDatum(text);
}

/* Put what an element came to into the function's result. */
static void
store_row(void *state, int index, const Outcome *outcome)
{
	const ManyCalls *calls = state;
	const Problem *answer = &outcome->answer;
	NullableDatum columns[COLUMNS];
	Datum values[COLUMNS];
	bool nulls[COLUMNS];
	ErrorData *error;

	for (int i = 0; i < COLUMNS; i++)
		columns[i] = (NullableDatum){.isnull = true};
	error = try_to_read(calls, outcome, &columns[COLUMN_RESPONSE]);
	columns[COLUMN_NUMBER] = (NullableDatum){.value = Int32GetDatum(index + 1)};
	if (answer->http_status != 0)
		columns[COLUMN_HTTP_STATUS] = (NullableDatum){.value = Int32GetDatum(answer->http_status)};
	set_text(&columns[COLUMN_REQUEST_ID], answer->request_id);
	if (error != NULL)
	{
		bool is_refusal = answer->http_status / 100 != 2;

		columns[COLUMN_RESPONSE].isnull = true;
		set_text(&columns[COLUMN_ERROR_CODE], answer->code);
		/* What is wrong with a good answer stands in the DETAIL, and so does the SID in it. */
		set_text(&columns[COLUMN_ERROR_MESSAGE], is_refusal || error->detail == NULL
													 ? error->message
													 : psprintf("%s: %s", error->message, error->detail));
		set_text(&columns[COLUMN_SQLSTATE], unpack_sql_state(error->sqlerrcode));
	}
	for (int i = 0; i < COLUMNS; i++)
	{
		values[i] = columns[i].value;
		nulls[i] = columns[i].isnull;
	}
	tuplestore_putvalues(calls->result->setResult, calls->result->setDesc, values, nulls);
}

/* Requests under way at once, of the argument or the setting. */
static int
concurrency_argument(FunctionCallInfo fcinfo)
{
	int concurrency =
		PG_ARGISNULL(ARGUMENT_CONCURRENCY) ? flex_settings.concurrency : PG_GETARG_INT32(ARGUMENT_CONCURRENCY);

	if (concurrency < 1 || concurrency > MOST_AT_ONCE)
		flex_argument_refuse(FUNCTION, "concurrency", psprintf("%d", concurrency), false,
							 psprintf("a number from 1 to %d", MOST_AT_ONCE));
	return concurrency;
}

/* Raise 55000 for what flex_api.rate_limits has paused. */
static void
check_rate(const ManyRequests *many)
{
	if (flex_rate_limits_is_paused(flex_many_requests_rate(many)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("%s is paused", many->operation->name),
				 errdetail("Its rate in flex_api.rate_limits is 0."),
				 errhint("Call it when flex_api.rate_limits gives it another rate.")));
}

/* Check everything, then send, in the current context. */
static void
call_many(FunctionCallInfo fcinfo)
{
	ManyCalls calls = {.result = (ReturnSetInfo *) fcinfo->resultinfo};
	ManyRequests many = {.way = WAY_MANY, .make = make_request, .take = store_row, .state = &calls};

	if (PG_ARGISNULL(ARGUMENT_OPERATION))
		flex_argument_refuse_null(FUNCTION, "operation");
	/* The operations are where this function is. */
	calls.signature = find_signature(TextDatumGetCString(PG_GETARG_DATUM(ARGUMENT_OPERATION)),
									 get_func_namespace(fcinfo->flinfo->fn_oid));
	many.operation = calls.signature->operation;
	many.concurrency = concurrency_argument(fcinfo);
	/* As unnest() has it; array_agg() of no rows is NULL. */
	if (PG_ARGISNULL(ARGUMENT_ARGUMENTS))
		return;
	if (!many.operation->custom)
		calls.decoder = flex_signature_decoder(calls.signature);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(ARGUMENT_ARGUMENTS), JSONBOID, -1, false, TYPALIGN_INT, &calls.arguments,
					  &calls.nulls, &many.count);
	if (many.count == 0)
		return;
	flex_effective_check_displaced();
	flex_effective_check_known();
	check_requests(&calls, &many);
	check_rate(&many);
	flex_many_requests_send(&many);
}

/* flex_call_many(operation, arguments, concurrency); see the file's head. */
PGDLLEXPORT Datum
flex_api_call_many(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.returns_set = true, .count = 3, .types = {TEXTOID, JSONBARRAYOID, INT4OID}};
	static const Oid types[COLUMNS] = {INT4OID, INT4OID, JSONBOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "flex_api many", ALLOCSET_DEFAULT_SIZES);

	flex_declaration_check(fcinfo, &entry);
	InitMaterializedSRF(fcinfo, 0);
	flex_declaration_check_row(((ReturnSetInfo *) fcinfo->resultinfo)->setDesc, types, COLUMNS);
	MemoryContextSwitchTo(work);
	PG_TRY();
	{
		call_many(fcinfo);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(work);
	}
	PG_END_TRY();
	PG_RETURN_NULL();
}
