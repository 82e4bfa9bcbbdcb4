/*
 * custom.c
 *		SQL entry points of flex_request() and flex_request_list().
 *
 * They call operations that the catalogue does not have yet.  Host, credentials,
 * connections, repeats, pages and errors are handled as for any other call.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "answer/decoder.h"
#include "base/compat.h"
#include "base/encoding.h"
#include "entry/declaration.h"
#include "entry/list.h"
#include "http/exchange.h"
#include "request/custom_request.h"

PG_FUNCTION_INFO_V1(flex_api_request);
PG_FUNCTION_INFO_V1(flex_api_request_list);

/* Arguments of flex_request_list(). */
enum
{
	LIST_PATH,
	LIST_PARAMETERS,
	LIST_MEMBER,
	LIST_MAX_ROWS,
	LIST_HEADERS,
	LIST_SERVICE
};

/* Columns of the row that flex_request() returns. */
enum
{
	COLUMN_STATUS,
	COLUMN_HEADERS,
	COLUMN_BODY,
	COLUMNS
};

/*
 * Append a header to the JSON object in the StringInfo state.  The bytes of name and value
 * are arbitrary; flex_text_of_bytes() replaces those that are invalid in the database's
 * encoding.
 */
static void
append_header_member(void *state, const char *name, const char *value)
{
	StringInfo json = state;
	char *lower = asc_tolower(name, strlen(name));

	appendStringInfoString(json, json->len > 1 ? ", " : "");
	escape_json(json, flex_text_of_bytes(lower, strlen(lower)));
	appendStringInfoString(json, ": ");
	escape_json(json, flex_text_of_bytes(value, strlen(value)));
}

/* Return the answer's headers as a jsonb object, with names in lower case. */
static Datum
headers_of(const Outcome *answer)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	flex_outcome_visit_headers(answer, append_header_member, &json);
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* Read the columns of an answer, in the current context. */
static void
read_answer(const Outcome *answer, Datum *values, bool *nulls)
{
	memset(nulls, false, sizeof(bool) * COLUMNS);
	values[COLUMN_STATUS] = Int32GetDatum(answer->answer.http_status);
	values[COLUMN_HEADERS] = headers_of(answer);
	nulls[COLUMN_BODY] = answer->body_length == 0;
	if (!nulls[COLUMN_BODY])
		values[COLUMN_BODY] = flex_decode_jsonb(answer->body, answer->body_length);
}

/* Send a request, and allocate the columns of its answer in the context "columns", which becomes the current one. */
static void
fetch_columns(const HttpRequest *request, MemoryContext columns, Datum *values, bool *nulls)
{
	const Outcome *answer = flex_exchange_finish(flex_exchange_begin(request, NULL));
	MemoryContext context = MemoryContextSwitchTo(columns);

	PG_TRY();
	{
		read_answer(answer, values, nulls);
	}
	PG_CATCH();
	{
		flex_outcome_raise_unread(answer, context);
	}
	PG_END_TRY();
}

/*
 * flex_request(method, path, parameters, body, headers, service).  A body may be large, so
 * the bytes of the answer are freed before the row is formed, and the row is formed in the
 * caller's context rather than copied there.
 */
PGDLLEXPORT Datum
flex_api_request(PG_FUNCTION_ARGS)
{
	/* The function of release 1.0.0 has the first four arguments only. */
	static const EntryPoint entry = {
		.least = 4,
		.count = 6,
		.types = {TEXTOID, TEXTOID, JSONBOID, JSONBOID, JSONBOID, TEXTOID},
	};
	static const Oid types[COLUMNS] = {INT4OID, JSONBOID, JSONBOID};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "flex_api request", ALLOCSET_DEFAULT_SIZES);
	MemoryContext exchange = AllocSetContextCreate(work, "flex_api exchange", ALLOCSET_DEFAULT_SIZES);
	volatile Datum result = (Datum) 0;
	TupleDesc desc;

	flex_declaration_check(fcinfo, &entry);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "flex_request does not return what it should");
	flex_declaration_check_row(desc, types, COLUMNS);
	PG_TRY();
	{
		Datum values[COLUMNS];
		bool nulls[COLUMNS];
		HttpRequest *request;

		MemoryContextSwitchTo(exchange);
		request = flex_custom_request(fcinfo->args, fcinfo->nargs);
		request->way = WAY_REQUEST;
		fetch_columns(request, work, values, nulls);
		MemoryContextDelete(exchange);
		MemoryContextSwitchTo(caller);
		result = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(work);
	}
	PG_END_TRY();
	PG_RETURN_DATUM(result);
}

/* Read the arguments of flex_request_list(). */
static ListCall
prepare_list(FunctionCallInfo fcinfo)
{
	static const char function[] = "flex_request_list";
	const NullableDatum *values = fcinfo->args;
	ListCall call = {0};

	call.request = flex_custom_list_request(function, &values[LIST_PATH], &values[LIST_PARAMETERS],
											&values[LIST_HEADERS], &values[LIST_SERVICE]);
	call.request->way = WAY_REQUEST;
	call.max_rows = flex_list_max_rows(function, &values[LIST_MAX_ROWS]);
	if (!values[LIST_MEMBER].isnull)
		call.member = flex_text_to_wire(TextDatumGetCString(values[LIST_MEMBER].value), "member");
	return call;
}

/* flex_request_list(path, parameters, member, max_rows, headers, service) */
PGDLLEXPORT Datum
flex_api_request_list(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {
		.result = JSONBOID,
		.returns_set = true,
		.count = 6,
		.types = {TEXTOID, JSONBOID, TEXTOID, INT8OID, JSONBOID, TEXTOID},
	};

	flex_declaration_check(fcinfo, &entry);
	return flex_list_return(fcinfo, MAT_SRF_USE_EXPECTED_DESC, prepare_list);
}
