/*
 * arguments.c
 *		Arguments of operations: checks them, and returns their texts on the wire.
 *
 * Before a request is sent, each argument is checked against its rule in the catalogue.  The
 * error names the function, the argument, the value and what was expected.  Texts are
 * converted to UTF-8, which the service expects, and length limits apply to the result.
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

#define SID_LENGTH 34  /* two letters and 32 hexadecimal digits */
#define SHOWN_BYTES 80 /* how much of a refused value a message shows */

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

/* Return true if a path template contains {wire}. */
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
 * Fill in a Parameter, by the argument's SQL definition and its rule in the catalogue.  The
 * name is not copied and must live as long as the Parameter; the rest is allocated in the
 * current context.
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

/*
 * Raise 22023 for the value of an argument.  A secret is not shown, a long value is
 * truncated.  expected completes "... expects %s."; hint may be NULL.
 */
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

/* The same without a hint. */
void
flex_argument_refuse(const char *function, const char *name, const char *value, bool secret, const char *expected)
{
	flex_argument_refuse_with_hint(function, name, value, secret, expected, NULL);
}

/* Raise 22023 for an unknown name of an operation, with a hint about the one that was probably meant. */
void
flex_argument_refuse_operation(const char *function, const char *name)
{
	const char *closest = flex_operation_closest(name);

	flex_argument_refuse_with_hint(function, "operation", name, false,
								   "the name of an operation: see flex_operations()",
								   closest != NULL ? psprintf("Perhaps you meant \"%s\".", closest) : NULL);
}

/* Raise 22023 for the value of an argument of an operation, with a hint. */
pg_noreturn static void
refuse_with_hint(const Parameter *parameter, const char *value, const char *expected, const char *hint)
{
	flex_argument_refuse_with_hint(parameter->operation->name, parameter->name, value, parameter->rule->secret,
								   expected, hint);
}

/* Raise 22023 for the value of an argument of an operation. */
pg_noreturn static void
refuse(const Parameter *parameter, const char *value, const char *expected)
{
	flex_argument_refuse(parameter->operation->name, parameter->name, value, parameter->rule->secret, expected);
}

/* Raise 22004 for an argument that must not be NULL. */
void
flex_argument_refuse_null(const char *function, const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("argument \"%s\" must not be null", name),
					errdetail("%s cannot be called without it.", function)));
}

/* Raise 22004 for a NULL in an array.  number is the element's, from 1 on. */
void
flex_argument_refuse_null_element(const Parameter *parameter, int number)
{
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("element %d of argument \"%s\" is null", number, parameter->name),
					errdetail("%s expects an array without nulls.", parameter->operation->name)));
}

/* Return true for a SID that begins with these two letters. */
bool
flex_sid_is_good(const char *text, const char *letters)
{
	return strlen(text) == SID_LENGTH && strncmp(text, letters, 2) == 0 &&
		   strspn(text + 2, "0123456789abcdefABCDEF") == SID_LENGTH - 2;
}

/*
 * Return true if a text is valid as this argument of a path.  Other texts cannot be the name
 * of any resource.
 */
bool
flex_argument_can_name(const Parameter *parameter, const char *text)
{
	const char *letters = parameter->rule->sid;

	return (letters == NULL || flex_sid_is_good(text, letters)) && flex_url_part_is_good(text);
}

/* Check that a text is a SID with the letters of the rule. */
static void
check_sid(const Parameter *parameter, const char *text)
{
	const char *letters = parameter->rule->sid;

	if (!flex_sid_is_good(text, letters))
		refuse(parameter, text, psprintf("a SID: \"%s\" and 32 hexadecimal digits", letters));
}

/* Check that a text is one of the values that the rule lists. */
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
 * Check that a text looks like an absolute URI: it has a scheme, and neither spaces nor
 * control characters.
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

/* Return the number of characters of a UTF-8 text. */
static size_t
count_characters(const char *utf8)
{
	size_t count = 0;

	for (const unsigned char *p = (const unsigned char *) utf8; *p; p++)
		count += (*p & 0xC0) != 0x80;
	return count;
}

/* Check the length of an argument.  text is for the message; wire is its UTF-8, which is sent. */
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
 * Return true if a UTF-8 text is valid as a header's value: a control character could end the
 * header and begin another.  iscntrl() is not used, because in the locale of another encoding
 * it may take bytes of UTF-8 for control characters.
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

/* Check a text against the argument's rule and place, and return it in UTF-8; the result may be the text itself. */
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

/*
 * Functions that check a value of each SQL type and return its text on the wire, palloc'd.
 * Those for BOOLOID and arrays are in flex_argument_texts() and texts_of_array().
 */

/* The original of a secret is erased, unless it is the result: that is erased by flex_request_build(). */
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

/* The shortest text that is read as the same number, whatever extra_float_digits is. */
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

/* Return jsonb as text without the spaces that jsonb_out() puts between values; palloc'd. */
char *
flex_argument_json(Jsonb *json)
{
	char *text = JsonbToCString(NULL, &json->root, VARSIZE(json));

	text[flex_json_compact(text, text, strlen(text))] = '\0';
	return text;
}

/* Return true if a text is enclosed in braces, apart from whitespace around them. */
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
 * Check the shape of a JSON value.  A string that contains an object is almost certainly a
 * mistake, the result of to_jsonb() for an object in a text; it would be encoded twice.
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

/* Return the texts of an array's elements.  Raises 22023 if it is empty, 22004 for a NULL in it. */
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
	/* An empty array would not be in the request, and so mean the opposite: a list without a filter has all rows. */
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
 * Check an argument and set *texts to an array of its texts on the wire, allocated in the
 * current context.  Return their number: 0 if it is not sent, several for an array.  Raises
 * 22004 for NULL if it is required, 22023 for an invalid value, 22021 or 22P05 for a text that
 * cannot be converted to UTF-8.
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
