/*
 * arguments.c
 *		Checks an argument before anything is sent, and gives its text.
 *
 * An argument is what its SQL type and its rule in the catalogue say, and no
 * request leaves with one that is not: the error names the function, the
 * argument, the value and what was expected.  Texts are UTF-8, as the service
 * wants them, whatever the database's encoding is, and limits count what is sent.
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "answer/json.h"
#include "base/closest.h"
#include "base/encoding.h"
#include "base/url.h"
#include "request/arguments.h"

#define SID_LENGTH 34  /* two letters, 32 hexadecimal digits */
#define SHOWN_BYTES 80 /* of a refused value, in a message */

/* "flex_flow_sid" becomes "FlexFlowSid"; palloc'd. */
static char *
pascal_case(const char *name)
{
	char *wire = palloc(strlen(name) + 1);
	char *to = wire;
	bool start = true;

	for (const char *from = name; *from; from++)
	{
		if (*from == '_')
		{
			start = true;
			continue;
		}
		*to++ = start ? toupper((unsigned char) *from) : *from;
		start = false;
	}
	*to = '\0';
	return wire;
}

/* True when the path has {wire}. */
static bool
path_has(const char *path, const char *wire)
{
	size_t length = strlen(wire);

	for (const char *p = strchr(path, '{'); p != NULL; p = strchr(p + 1, '{'))
	{
		if (strncmp(p + 1, wire, length) == 0 && p[1 + length] == '}')
			return true;
	}
	return false;
}

/*
 * Fill in what the rules say of an argument.  The name is kept, not copied;
 * the rest is allocated in the current context.
 */
void
flex_parameter_describe(Parameter *parameter, const Operation *operation, const char *name, Oid type, bool required)
{
	const ArgumentRule *rule = flex_operation_rule(operation, name);

	parameter->operation = operation;
	parameter->name = name;
	parameter->type = type;
	parameter->required = required;
	parameter->rule = rule;
	parameter->wire = rule->wire ? rule->wire : pascal_case(name);
	parameter->place = rule->place;
	if (path_has(operation->path, parameter->wire))
		parameter->place = PLACE_PATH;

	if (parameter->place == PLACE_PATH && type == TEXTARRAYOID)
		elog(ERROR, "argument \"%s\" of a path is an array", name);
	if (parameter->place == PLACE_PATH)
		parameter->required = true;
	else if (rule->place == PLACE_BY_METHOD)
		parameter->place = strcmp(operation->method, "POST") == 0 ? PLACE_FORM : PLACE_QUERY;
}

/* Raise 22023 for a value; a secret or a long one is not shown whole.  The hint may be NULL. */
void
flex_argument_refuse_with_hint(const char *function, const char *name, const char *value, bool secret,
							   const char *expected, const char *hint)
{
	char *shown = flex_text_clip(value, SHOWN_BYTES);

	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					secret ? errmsg("invalid value for argument \"%s\"", name)
						   : errmsg("invalid value for argument \"%s\": \"%s%s\"", name, shown,
									strlen(shown) < strlen(value) ? "..." : ""),
					errdetail("%s expects %s.", function, expected), hint != NULL ? errhint("%s", hint) : 0));
}

/* Raise 22023 for a value of an argument. */
void
flex_argument_refuse(const char *function, const char *name, const char *value, bool secret, const char *expected)
{
	flex_argument_refuse_with_hint(function, name, value, secret, expected, NULL);
}

/* Raise 22023 for what is no operation's name, telling the one that was probably meant. */
void
flex_argument_refuse_operation(const char *function, const char *name)
{
	const char *closest = flex_operation_closest(name);

	flex_argument_refuse_with_hint(function, "operation", name, false,
								   "the name of an operation: see flex_operations()",
								   closest != NULL ? psprintf("Perhaps you meant \"%s\".", closest) : NULL);
}

/* The same for an argument of an operation, with a hint. */
pg_noreturn static void
refuse_with_hint(const Parameter *parameter, const char *value, const char *expected, const char *hint)
{
	flex_argument_refuse_with_hint(parameter->operation->name, parameter->name, value, parameter->rule->secret,
								   expected, hint);
}

/* The same for an argument of an operation. */
pg_noreturn static void
refuse(const Parameter *parameter, const char *value, const char *expected)
{
	flex_argument_refuse(parameter->operation->name, parameter->name, value, parameter->rule->secret, expected);
}

/* Raise 22004 for a NULL where there must be a value. */
void
flex_argument_refuse_null(const char *function, const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("argument \"%s\" must not be null", name),
					errdetail("%s cannot be called without it.", function)));
}

/* Raise 22004 for a NULL in an array: the element of that number, from 1 on. */
void
flex_argument_refuse_null_element(const Parameter *parameter, int number)
{
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("element %d of argument \"%s\" is null", number, parameter->name),
					errdetail("%s expects an array without nulls.", parameter->operation->name)));
}

/* True for these two letters and 32 hexadecimal digits. */
bool
flex_sid_is_good(const char *text, const char *letters)
{
	return strlen(text) == SID_LENGTH && strncmp(text, letters, 2) == 0 &&
		   strspn(text + 2, "0123456789abcdefABCDEF") == SID_LENGTH - 2;
}

/* True for a text that may stand in a path as this argument: what names something does so. */
bool
flex_argument_can_name(const Parameter *parameter, const char *text)
{
	const char *letters = parameter->rule->sid;

	return (letters == NULL || flex_sid_is_good(text, letters)) && flex_url_part_is_good(text);
}

/* A SID of the kind that the rule wants. */
static void
check_sid(const Parameter *parameter, const char *text)
{
	const char *letters = parameter->rule->sid;

	if (!flex_sid_is_good(text, letters))
		refuse(parameter, text, psprintf("a SID: \"%s\" and 32 hexadecimal digits", letters));
}

/* One of the few values that the rule allows. */
static void
check_values(const Parameter *parameter, const char *text)
{
	const char *const *values = parameter->rule->values;
	ClosestName closest = flex_closest_begin(text);
	StringInfoData expected;
	char *hint = "A value that is new in the service can be sent by flex_request().";

	initStringInfo(&expected);
	for (int i = 0; i < MAX_VALUES && values[i] != NULL; i++)
	{
		if (strcmp(values[i], text) == 0)
			return;
		flex_closest_compare(&closest, values[i]);
		appendStringInfo(&expected, "%s\"%s\"", i > 0 ? ", " : values[1] ? "one of " : "", values[i]);
	}
	if (closest.found != NULL)
		hint = psprintf("Perhaps you meant \"%s\". %s", closest.found, hint);
	refuse_with_hint(parameter, text, expected.data, hint);
}

/*
 * An absolute URI, as far as one can tell without fetching it: a scheme, and
 * no blank or control character.
 */
static void
check_uri(const Parameter *parameter, const char *text)
{
	size_t scheme = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-.");
	bool good = isalpha((unsigned char) text[0]) && strncmp(text + scheme, "://", 3) == 0 && text[scheme + 3];

	for (const char *p = text; good && *p; p++)
		good = !iscntrl((unsigned char) *p) && *p != ' ';
	if (!good)
		refuse(parameter, text, "an absolute URL, such as \"https://example.com/path\"");
}

/* How many characters UTF-8 has. */
static size_t
count_characters(const char *utf8)
{
	size_t count = 0;

	for (const unsigned char *p = (const unsigned char *) utf8; *p; p++)
		count += (*p & 0xC0) != 0x80;
	return count;
}

/* No longer than the service takes; wire is what is sent. */
static void
check_length(const Parameter *parameter, const char *text, const char *wire)
{
	const ArgumentRule *rule = parameter->rule;

	if (rule->max_characters > 0 && count_characters(wire) > (size_t) rule->max_characters)
		refuse(parameter, text, psprintf("%d characters at the most", rule->max_characters));
	if (rule->max_bytes > 0 && strlen(wire) > (size_t) rule->max_bytes)
		refuse(parameter, text, psprintf("%d bytes in UTF-8 at the most", rule->max_bytes));
}

/*
 * True for a header's value: it has no control character, which could end the header.
 * In UTF-8, of which a locale with another encoding would take some bytes for such.
 */
bool
flex_header_value_is_good(const char *text)
{
	for (const char *p = text; *p; p++)
	{
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			return false;
	}
	return true;
}

/* The text in UTF-8, if it is all that it must be by its rule and its place. */
static char *
checked_text(const Parameter *parameter, const char *text)
{
	const ArgumentRule *rule = parameter->rule;
	char *wire = flex_text_to_wire(text, parameter->name);

	if (rule->sid)
		check_sid(parameter, text);
	if (rule->values[0])
		check_values(parameter, text);
	if (rule->uri)
		check_uri(parameter, text);
	check_length(parameter, text, wire);
	if (parameter->place == PLACE_PATH && !flex_url_part_is_good(text))
		refuse_with_hint(parameter, text, "a value that is not empty, \".\" or \"..\" and has no slash or backslash",
						 "flex_request() can send any path.");
	if (parameter->place == PLACE_HEADER && !flex_header_value_is_good(wire))
		refuse(parameter, text, "a header's value, without control characters");
	return wire;
}

static char *
text_of_text(const Parameter *parameter, Datum value)
{
	char *given = TextDatumGetCString(value);
	char *wire = checked_text(parameter, given);

	if (parameter->rule->secret && wire != given)
		explicit_bzero(given, strlen(given));
	return wire;
}

static char *
text_of_integer(const Parameter *parameter, Datum value)
{
	const ArgumentRule *rule = parameter->rule;
	int32 number = DatumGetInt32(value);
	char *text = psprintf("%d", number);

	if (rule->most > 0 && (number < rule->least || number > rule->most))
		refuse(parameter, text, psprintf("a number from %d to %d", rule->least, rule->most));
	return text;
}

/* The shortest digits that give the number again, whatever the session shows. */
static char *
text_of_number(const Parameter *parameter, Datum value)
{
	double number = DatumGetFloat8(value);
	char *text = palloc(DOUBLE_SHORTEST_DECIMAL_LEN);

	double_to_shortest_decimal_buf(number, text);
	if (isnan(number) || isinf(number))
		refuse(parameter, text, "a finite number");
	return text;
}

/* jsonb as compact text, without the blanks that PostgreSQL's has between values; palloc'd. */
char *
flex_argument_json(Jsonb *json)
{
	char *text = JsonbToCString(NULL, &json->root, VARSIZE(json));

	text[flex_json_compact(text, text, strlen(text))] = '\0';
	return text;
}

/* True for a text that stands between braces, blanks apart. */
static bool
is_in_braces(const char *text, int length)
{
	while (length > 0 && isspace((unsigned char) text[length - 1]))
		length--;
	while (length > 0 && isspace((unsigned char) *text))
		text++, length--;
	return length > 1 && text[0] == '{' && text[length - 1] == '}';
}

/*
 * JSON has the shape that the rule wants.  A string whose text is an object is
 * what to_jsonb() makes of one that is text, and would be encoded twice.
 */
static void
check_shape(const Parameter *parameter, Jsonb *json, const char *text)
{
	const char *cast = "Convert text that is JSON by a cast: ::jsonb.";
	JsonbValue string;
	bool is_string = JB_ROOT_IS_SCALAR(json) && JsonbExtractScalar(&json->root, &string) && string.type == jbvString;

	if (parameter->rule->shape == SHAPE_OBJECT && !JB_ROOT_IS_OBJECT(json))
		refuse_with_hint(parameter, text, "a JSON object", is_string ? cast : NULL);
	if (parameter->rule->shape == SHAPE_NOT_ENCODED && is_string &&
		is_in_braces(string.val.string.val, string.val.string.len))
		refuse_with_hint(parameter, text, "JSON, but no string that holds an object", cast);
}

static char *
text_of_jsonb(const Parameter *parameter, Datum value)
{
	Jsonb *json = DatumGetJsonbP(value);
	char *text = flex_argument_json(json);

	check_shape(parameter, json, text);
	return checked_text(parameter, text);
}

/* The texts of an array's elements: at least one, and no NULL among them. */
static int
texts_of_array(const Parameter *parameter, Datum value, char ***texts)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	Datum *elements;
	bool *nulls;
	int count;

	if (ARR_NDIM(array) > 1)
		refuse(parameter, "{{...}}", "an array of one dimension");
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	/* Sent as nothing it would say the opposite: a list that is filtered by no value has all rows. */
	if (count == 0)
		refuse_with_hint(parameter, "{}", "an array of one element or more", "Leave it NULL to send none.");
	*texts = palloc(sizeof(char *) * count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			flex_argument_refuse_null_element(parameter, i + 1);
		(*texts)[i] = text_of_text(parameter, elements[i]);
	}
	return count;
}

/*
 * Check an argument and give its texts: none where it is left out, several for
 * an array.  Raises 22004 or 22023, and 22021 or 22P05 for a text that is no
 * UTF-8.  The texts are allocated in the current context.
 */
int
flex_argument_texts(const Parameter *parameter, const NullableDatum *value, char ***texts)
{
	char *text;

	if (parameter->place == PLACE_NOWHERE)
		return 0;
	if (value->isnull)
	{
		if (parameter->required)
			flex_argument_refuse_null(parameter->operation->name, parameter->name);
		return 0;
	}
	switch (parameter->type)
	{
		case TEXTOID:
			text = text_of_text(parameter, value->value);
			break;
		case BOOLOID:
			text = pstrdup(DatumGetBool(value->value) ? "true" : "false");
			break;
		case INT4OID:
			text = text_of_integer(parameter, value->value);
			break;
		case FLOAT8OID:
			text = text_of_number(parameter, value->value);
			break;
		case JSONBOID:
			text = text_of_jsonb(parameter, value->value);
			break;
		case TEXTARRAYOID:
			return texts_of_array(parameter, value->value, texts);
		default:
			elog(ERROR, "argument \"%s\" has a type that cannot be sent", parameter->name);
	}
	*texts = palloc(sizeof(char *));
	(*texts)[0] = text;
	return 1;
}
