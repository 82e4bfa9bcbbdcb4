/*
 * json_arguments.c
 *		Arguments of an operation as one JSON object.
 *
 * The outbox stores the arguments of a call as the members of a jsonb object, and
 * flex_call_many() takes them so.  Unpacking gives the values that the same call in SQL
 * would have.  A name that the function does not have, or a value of another type, raises
 * an error.  This holds for flex_request(), too.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "base/closest.h"
#include "request/custom_request.h"
#include "request/json_arguments.h"

/* Raise 22023 for a value of the wrong JSON type. */
pg_noreturn static void
refuse_type(const Parameter *parameter, JsonbValue *value, const char *expected)
{
	char *shown;

	if (value->type != jbvString)
	{
		Jsonb *json = JsonbValueToJsonb(value);

		shown = JsonbToCString(NULL, &json->root, VARSIZE(json));
	}
	else
		shown = pnstrdup(value->val.string.val, value->val.string.len);
	flex_argument_refuse(parameter->operation->name, parameter->name, shown, parameter->rule->secret, expected);
}

/*
 * Functions that convert a JSON value to each SQL type, in the current context.  They raise
 * 22023 for a value of another type: a number is not taken for a string, nor the reverse.
 */

static Datum
unpack_text(const Parameter *parameter, JsonbValue *value)
{
	if (value->type != jbvString)
		refuse_type(parameter, value, "a JSON string");
	return PointerGetDatum(cstring_to_text_with_len(value->val.string.val, value->val.string.len));
}

static Datum
unpack_boolean(const Parameter *parameter, JsonbValue *value)
{
	if (value->type != jbvBool)
		refuse_type(parameter, value, "true or false");
	return BoolGetDatum(value->val.boolean);
}

static Datum
unpack_number(const Parameter *parameter, JsonbValue *value)
{
	Datum number;

	if (value->type != jbvNumeric)
		refuse_type(parameter, value, "a JSON number");
	number = DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->val.numeric));
	if (isinf(DatumGetFloat8(number)))
		refuse_type(parameter, value, "a number of double precision");
	return number;
}

/* Call a comparison function of the type numeric. */
static bool
compare(PGFunction comparison, Datum number, Datum other)
{
	return DatumGetBool(DirectFunctionCall2(comparison, number, other));
}

static Datum
unpack_integer(const Parameter *parameter, JsonbValue *value)
{
	Datum number;

	if (value->type != jbvNumeric)
		refuse_type(parameter, value, "a whole JSON number");
	number = NumericGetDatum(value->val.numeric);
	if (compare(numeric_lt, number, NumericGetDatum(int64_to_numeric(PG_INT32_MIN))) ||
		compare(numeric_gt, number, NumericGetDatum(int64_to_numeric(PG_INT32_MAX))) ||
		compare(numeric_ne, number, DirectFunctionCall2(numeric_trunc, number, Int32GetDatum(0))))
		refuse_type(parameter, value, "a whole number of 32 bits");
	return DirectFunctionCall1(numeric_int4, number);
}

static Datum
unpack_json(const Parameter *parameter, JsonbValue *value)
{
	return JsonbPGetDatum(JsonbValueToJsonb(value));
}

static Datum
unpack_array(const Parameter *parameter, JsonbValue *value)
{
	JsonbContainer *container = value->val.binary.data;
	Datum *elements;
	uint32 count;

	if (value->type != jbvBinary || !JsonContainerIsArray(container))
		refuse_type(parameter, value, "a JSON array of strings");
	count = JsonContainerSize(container);
	elements = palloc(sizeof(Datum) * Max(count, 1));
	for (uint32 i = 0; i < count; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(container, i);

		if (element->type == jbvNull)
			flex_argument_refuse_null_element(parameter, i + 1);
		elements[i] = unpack_text(parameter, element);
	}
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Convert a JSON value to the type of an argument. */
static Datum
unpack_value(const Parameter *parameter, JsonbValue *value)
{
	static const struct
	{
		Oid type;
		Datum (*unpack)(const Parameter *parameter, JsonbValue *value);
	} unpackers[] = {
		{TEXTOID, unpack_text},     {BOOLOID, unpack_boolean}, {INT4OID, unpack_integer},
		{FLOAT8OID, unpack_number}, {JSONBOID, unpack_json},   {TEXTARRAYOID, unpack_array},
	};

	for (size_t i = 0; i < lengthof(unpackers); i++)
	{
		if (unpackers[i].type == parameter->type)
			return unpackers[i].unpack(parameter, value);
	}
	elog(ERROR, "argument \"%s\" has a type that cannot be sent", parameter->name);
}

/* Raise 22023 for an unknown name, with a hint about the argument that was probably meant, and a list of all. */
pg_noreturn static void
refuse_name(const Signature *signature, const char *name)
{
	ClosestName closest = flex_closest_begin(name);
	StringInfoData hint;

	for (int i = 0; i < signature->count; i++)
		flex_closest_compare(&closest, signature->parameters[i].name);
	initStringInfo(&hint);
	if (closest.found != NULL)
		appendStringInfo(&hint, "Perhaps you meant \"%s\". ", closest.found);
	appendStringInfoString(&hint, signature->count > 0 ? "Its arguments are " : "It has no arguments");
	for (int i = 0; i < signature->count; i++)
		appendStringInfo(&hint, "%s%s", i > 0 ? ", " : "", signature->parameters[i].name);
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("%s has no argument \"%s\"", signature->operation->name, name), errhint("%s.", hint.data)));
}

/* Set the value of the argument that a member of the object names.  null means NULL. */
static void
unpack_member(const Signature *signature, const char *name, JsonbValue *value, NullableDatum *values)
{
	for (int i = 0; i < signature->count; i++)
	{
		const Parameter *parameter = &signature->parameters[i];

		if (strcmp(parameter->name, name) != 0)
			continue;
		if (value->type == jbvNull)
			return;
		values[i].value = unpack_value(parameter, value);
		values[i].isnull = false;
		return;
	}
	refuse_name(signature, name);
}

/*
 * Set the values of all arguments from a JSON object, in the current context.  Arguments that
 * the object does not contain are NULL.  Raises 22023 for an unknown name or an invalid value.
 */
void
flex_json_arguments_unpack(const Signature *signature, Jsonb *arguments, NullableDatum *values)
{
	JsonbIterator *iterator;
	JsonbValue key;
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(arguments))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the arguments of %s are not a JSON object", signature->operation->name),
						errhint("Give an object of the arguments' names and values.")));
	for (int i = 0; i < signature->count; i++)
		values[i] = (NullableDatum){.isnull = true};
	iterator = JsonbIteratorInit(&arguments->root);
	(void) JsonbIteratorNext(&iterator, &key, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		char *name = pnstrdup(key.val.string.val, key.val.string.len);

		(void) JsonbIteratorNext(&iterator, &value, true);
		unpack_member(signature, name, &value, values);
	}
}

/* Build the request of a call with these values. */
HttpRequest *
flex_json_arguments_request(const Signature *signature, const NullableDatum *values)
{
	if (signature->operation->custom)
		return flex_custom_request(values, signature->count);
	return flex_request_build(signature->operation, signature->parameters, signature->count, values);
}

/* Return true if the request with these arguments may be sent twice without harm. */
bool
flex_json_arguments_is_idempotent(const Operation *operation, Jsonb *arguments)
{
	JsonbValue method;

	if (!operation->custom)
		return flex_method_is_idempotent(operation->method);
	return arguments != NULL && JB_ROOT_IS_OBJECT(arguments) &&
		   getKeyJsonValueFromContainer(&arguments->root, "method", strlen("method"), &method) != NULL &&
		   method.type == jbvString &&
		   flex_method_is_idempotent(pnstrdup(method.val.string.val, method.val.string.len));
}
