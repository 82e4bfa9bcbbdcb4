/*
 * many.c
 *		SQL entry point of flex_call_many(): many calls of one operation at once.
 *
 * The rows are put into a tuplestore, which spills to disk.  Value-per-call mode would gain
 * nothing in FROM, where the executor materializes the rows anyway.  Elsewhere a query that
 * stops early would abandon requests that are on the wire.  Here LIMIT limits the rows, and
 * never what is sent.
 *
 * For a request that fails, the error of a direct call is raised and caught at once, so that
 * the row describes the error with the same SQLSTATE and message.
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

/* A call of flex_call_many(), and where its rows are put. */
typedef struct ManyCalls
{
	Signature *signature;
	RowDecoder *decoder; /* NULL: the operation returns no row */
	Datum *arguments;    /* jsonb: the elements of the argument "arguments" */
	bool *nulls;
	ReturnSetInfo *result;
} ManyCalls;

/*
 * Find the operation to be called, whose function is in the given schema.  Raises 22023 if
 * there is none of that name, 42883 if its function is missing, 42501 if the current role may
 * not execute it, 0A000 if it returns a list.
 */
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

/* Error context callback: which element's arguments are wrong. */
static void
describe_element(void *argument)
{
	errcontext("element %d of argument \"arguments\"", *(const int *) argument + 1);
}

/* ManyRequests.make: build the request of an element.  Errors are those of a direct call, with the element's number. */
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

/*
 * Build each request once, so that one that cannot be built raises its error before anything
 * is sent.  Also create the endpoints: requests that carry an Authorization header of their
 * own ("authorized") need no credentials, all others do.
 */
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
		/* Names of services are literals, so their addresses identify them. */
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

/*
 * Set *response to the body of a successful answer; it stays NULL if a direct call returns
 * nothing.  Raises the errors that a direct call raises for an invalid body.
 */
static void
read_response(const ManyCalls *calls, const Outcome *outcome, NullableDatum *response)
{
	MemoryContext context = CurrentMemoryContext;

	if (outcome->verdict == VERDICT_DONE_BEFORE || (calls->decoder == NULL && !calls->signature->operation->custom))
		return;
	PG_TRY();
	{
		/* Only for the errors that it raises. */
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

/* Return true for an error that the contents of an answer can cause, as opposed to lack of memory, for example. */
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

/*
 * Read an answer.  Return the error that a direct call would have raised, in the current
 * context, or NULL.  No subtransaction is needed: what is called here holds no resources
 * other than memory.
 */
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

/* Set a column to a text, or to NULL. */
static void
set_text(NullableDatum *column, const char *text)
{
	column->isnull = text == NULL;
	if (text != NULL)
		column->value = CStringGetTextDatum(text);
}

/* ManyRequests.take: put the row of an element into the function's result. */
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
		/* If an answer of status 2xx is unreadable, the DETAIL says why, and has the SID of what was created. */
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

/* Return how many requests may be on the wire at once, by the argument or else the setting.  Raises 22023. */
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

/* Raise 55000 if flex_api.rate_limits has paused the operation with a rate of 0. */
static void
check_rate(const ManyRequests *many)
{
	if (flex_rate_limits_is_paused(flex_many_requests_rate(many)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("%s is paused", many->operation->name),
				 errdetail("Its rate in flex_api.rate_limits is 0."),
				 errhint("Call it when flex_api.rate_limits gives it another rate.")));
}

/* Check all arguments and requests, then send, in the current context. */
static void
call_many(FunctionCallInfo fcinfo)
{
	ManyCalls calls = {.result = (ReturnSetInfo *) fcinfo->resultinfo};
	ManyRequests many = {.way = WAY_MANY, .make = make_request, .take = store_row, .state = &calls};

	if (PG_ARGISNULL(ARGUMENT_OPERATION))
		flex_argument_refuse_null(FUNCTION, "operation");
	/* The functions of the operations are in the schema of this function. */
	calls.signature = find_signature(TextDatumGetCString(PG_GETARG_DATUM(ARGUMENT_OPERATION)),
									 get_func_namespace(fcinfo->flinfo->fn_oid));
	many.operation = calls.signature->operation;
	many.concurrency = concurrency_argument(fcinfo);
	/* NULL is no error, as for unnest(): array_agg() of no rows is NULL. */
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

/* flex_call_many(operation, arguments, concurrency) */
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
