/*
 * custom.c
 *		SQL entry point of flex_request(): what the catalogue does not have yet.
 *
 * The caller gives method, path, parameters and body; host, credentials,
 * connections, repeats and errors are those of every other call.  Since the
 * path follows the configured origin and begins with a slash, no other host can
 * be reached.
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

#include "encoding.h"
#include "exchange.h"
#include "outcome.h"
#include "response.h"
#include "url.h"
#include "versions.h"

#define FUNCTION "flex_request"

PG_FUNCTION_INFO_V1(flex_api_request);

enum
{
	ARGUMENT_METHOD,
	ARGUMENT_PATH,
	ARGUMENT_PARAMETERS,
	ARGUMENT_BODY
};

enum
{
	COLUMN_STATUS,
	COLUMN_HEADERS,
	COLUMN_BODY,
	COLUMNS
};

/* The text of an argument that must not be NULL. */
static char *
required_text(FunctionCallInfo fcinfo, int position, const char *name)
{
	if (PG_ARGISNULL(position))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("argument \"%s\" must not be null", name),
						errdetail(FUNCTION " cannot be called without it.")));
	return text_to_cstring(PG_GETARG_TEXT_PP(position));
}

/* The method, as one of the literals that requests have. */
static const char *
method_argument(FunctionCallInfo fcinfo)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
	char *method = required_text(fcinfo, ARGUMENT_METHOD, "method");

	for (size_t i = 0; i < lengthof(methods); i++)
	{
		if (strcmp(methods[i], method) == 0)
			return methods[i];
	}
	flex_argument_refuse(FUNCTION, "method", method, false, "GET, POST, PUT, PATCH or DELETE");
}

/* A path as a server may read it that decodes before it resolves dots. */
static char *
decode_dots(const char *path, size_t length)
{
	static const char *const codes[][2] = {{"%2e", "."}, {"%2f", "/"}, {"%5c", "\\"}};
	StringInfoData decoded;

	initStringInfo(&decoded);
	for (size_t i = 0; i < length; i++)
	{
		char c = path[i];

		for (size_t j = 0; j < lengthof(codes); j++)
		{
			if (pg_strncasecmp(path + i, codes[j][0], 3) == 0)
			{
				c = codes[j][1][0];
				i += 2;
				break;
			}
		}
		appendStringInfoChar(&decoded, c);
	}
	return decoded.data;
}

/* The path, which may bring a query. */
static const char *
path_argument(FunctionCallInfo fcinfo)
{
	char *path = required_text(fcinfo, ARGUMENT_PATH, "path");
	bool good = path[0] == '/' && flex_path_value_is_safe(decode_dots(path, strcspn(path, "?")));

	for (const char *p = path; good && *p; p++)
		good = *p > ' ' && *p < 0x7f && strchr("#\\\"<>^`{|}", *p) == NULL;
	if (!good)
		flex_argument_refuse(FUNCTION, "path", path, false,
							 "a path that begins with a slash, percent-encoded and without parts \".\" or \"..\"");
	return path;
}

/* The text that a JSON value is sent as: a string as it is, anything else as JSON. */
static char *
parameter_text(const char *name, JsonbValue *value)
{
	Jsonb *json;

	if (value->type == jbvString)
		return flex_text_to_wire(pnstrdup(value->val.string.val, value->val.string.len), name);
	json = JsonbValueToJsonb(value);
	return flex_text_to_wire(flex_argument_json(json), name);
}

/* Add a parameter to the form of a POST, or to the query. */
static void
add_parameter(HttpRequest *request, bool to_form, const char *name, JsonbValue *value)
{
	char *wire_name = flex_text_to_wire(name, "parameters");

	if (value->type == jbvNull)
		return;
	if (to_form)
		flex_request_add_form(request, wire_name, parameter_text(name, value));
	else
		flex_request_add_query(request, wire_name, parameter_text(name, value));
}

/* Add a member of the parameters: each element of an array by itself. */
static void
add_member(HttpRequest *request, bool to_form, const char *name, JsonbValue *value)
{
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
	{
		add_parameter(request, to_form, name, value);
		return;
	}
	for (uint32 i = 0; i < JsonContainerSize(value->val.binary.data); i++)
		add_parameter(request, to_form, name, getIthJsonbValueFromContainer(value->val.binary.data, i));
}

/* Add all parameters, a JSON object; NULLs in it are left out. */
static void
add_parameters(HttpRequest *request, bool to_form, Jsonb *parameters)
{
	JsonbIterator *iterator;
	JsonbValue key;
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(parameters))
		flex_argument_refuse(FUNCTION, "parameters", flex_argument_json(parameters), false,
							 "a JSON object of names and values");
	iterator = JsonbIteratorInit(&parameters->root);
	(void) JsonbIteratorNext(&iterator, &key, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		char *name = pnstrdup(key.val.string.val, key.val.string.len);

		(void) JsonbIteratorNext(&iterator, &value, true);
		add_member(request, to_form, name, &value);
	}
}

/* The request that the arguments describe. */
static HttpRequest *
build_request(FunctionCallInfo fcinfo)
{
	const char *method = method_argument(fcinfo);
	HttpRequest *request = flex_request_plain(method, path_argument(fcinfo));
	bool has_body = !PG_ARGISNULL(ARGUMENT_BODY);
	bool takes_form = strcmp(method, "GET") != 0 && strcmp(method, "DELETE") != 0;

	request->key = flex_operation_key(method, request->path);
	if (takes_form)
		flex_request_begin_form(request);
	if (!PG_ARGISNULL(ARGUMENT_PARAMETERS))
		add_parameters(request, takes_form && !has_body, PG_GETARG_JSONB_P(ARGUMENT_PARAMETERS));
	if (has_body)
	{
		Jsonb *body = PG_GETARG_JSONB_P(ARGUMENT_BODY);

		flex_request_set_json(request, flex_text_to_wire(flex_argument_json(body), "body"));
	}
	return request;
}

/* Append bytes of the wire as a JSON string, with "?" for what is no text here. */
static void
append_string(StringInfo json, const char *bytes)
{
	escape_json(json, flex_text_of_bytes(bytes, strlen(bytes)));
}

/*
 * Append a header to a JSON object under construction.  A name may be any bytes,
 * just as a value may.
 */
static void
append_header(void *state, const char *name, const char *value)
{
	StringInfo json = state;

	appendStringInfoString(json, json->len > 1 ? ", " : "");
	append_string(json, asc_tolower(name, strlen(name)));
	appendStringInfoString(json, ": ");
	append_string(json, value);
}

/* The answer's headers as a JSON object, names in lower case. */
static Datum
headers_of(const Transfer *answer)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	flex_transfer_visit_headers(answer, append_header, &json);
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* The row of an answer. */
static HeapTuple
form_answer(const Transfer *answer, TupleDesc desc)
{
	Datum values[COLUMNS];
	bool nulls[COLUMNS] = {false};
	size_t length;
	const char *body = flex_transfer_body(answer, &length);

	values[COLUMN_STATUS] = Int32GetDatum(flex_transfer_status(answer));
	values[COLUMN_HEADERS] = headers_of(answer);
	nulls[COLUMN_BODY] = length == 0;
	values[COLUMN_BODY] = length == 0 ? (Datum) 0 : flex_decode_jsonb(body, length);
	return heap_form_tuple(desc, values, nulls);
}

/* Send the request and make the row of its answer, in the caller's context. */
static Datum
call(const HttpRequest *request, TupleDesc desc, MemoryContext caller)
{
	const Transfer *answer = flex_exchange_run(flex_exchange_begin(request));
	MemoryContext context = CurrentMemoryContext;
	volatile Datum result = (Datum) 0;

	PG_TRY();
	{
		HeapTuple row = form_answer(answer, desc);

		MemoryContextSwitchTo(caller);
		result = heap_copy_tuple_as_datum(row, desc);
	}
	PG_CATCH();
	{
		flex_outcome_raise_unread(request, answer, context);
	}
	PG_END_TRY();
	return result;
}

/* flex_request(method, path, parameters, body); see the file's head. */
PGDLLEXPORT Datum
flex_api_request(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "flex_api request", ALLOCSET_DEFAULT_SIZES);
	volatile Datum result = (Datum) 0;
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != COLUMNS)
		elog(ERROR, FUNCTION " does not return what it should");
	MemoryContextSwitchTo(work);
	PG_TRY();
	{
		result = call(build_request(fcinfo), desc, caller);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(work);
	}
	PG_END_TRY();
	PG_RETURN_DATUM(result);
}
