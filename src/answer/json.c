/*
 * json.c
 *		Values of a JSON document, as references to its text.
 *
 * A value refers to a piece of the document, which is parsed again when its contents are
 * needed.  There is no tree, which would take many times the memory of the text.  A document
 * is checked as a whole before any value of it is read, so the functions that read values can
 * rely on valid JSON.  Names may be compared before: each has been checked when it is returned.
 */
#include "postgres.h"

#include "common/int.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"

#include "answer/json.h"
#include "base/encoding.h"

#define REPLACEMENT 0xFFFD /* that of flex_text_stand_in() */
#define SHORT_DIGITS 18    /* an integer of so many digits fits in 64 bits */
#define MOST_DIGITS 200000 /* more than numeric can have, with leading and trailing zeros */

/*
 * Check the rest of a document.  Return NULL if the document is valid, or else what is wrong
 * with it, as the end of a sentence that begins with "The body".
 */
const char *
flex_json_finish_check(JsonScanner *scanner)
{
	const char *wrong = flex_json_finish(scanner);

	return wrong == NULL && flex_text_stand_in() == NULL ? scanner->unrepresentable : wrong;
}

/* Check a document.  If it is valid, set *root to its value and return NULL; otherwise, return what is wrong. */
const char *
flex_json_check(const char *bytes, size_t length, JsonValue *root)
{
	JsonScanner scanner;

	flex_json_begin(&scanner, bytes, length);
	(void) flex_json_next_element(&scanner, root);
	return flex_json_finish_check(&scanner);
}

/* Initialize a scanner to read the elements of an array or the members of an object. */
void
flex_json_enter(JsonScanner *scanner, const JsonValue *container)
{
	Assert(container->kind == JSON_ARRAY || container->kind == JSON_OBJECT);
	flex_json_begin(scanner, container->text, container->length);
	(void) flex_json_next(scanner);
}

/* Read the next element of an array.  Return false at its end, or if there is a complaint. */
bool
flex_json_next_element(JsonScanner *scanner, JsonValue *element)
{
	JsonToken kind = flex_json_next(scanner);

	if (kind > JSON_OBJECT)
		return false;
	*element = scanner->token;
	if (kind == JSON_ARRAY || kind == JSON_OBJECT)
	{
		element->count = flex_json_skip(scanner);
		element->length = scanner->at - element->text;
	}
	return scanner->complaint == NULL;
}

/* Read the next member of an object.  Return false at its end, or if there is a complaint. */
bool
flex_json_next_member(JsonScanner *scanner, JsonValue *name, JsonValue *value)
{
	if (flex_json_next(scanner) != JSON_NAME)
		return false;
	*name = scanner->token;
	return flex_json_next_element(scanner, value);
}

/* Return true if a member has the given name. */
bool
flex_json_is_named(const JsonValue *name, const char *expected, size_t length)
{
	size_t name_length;
	const char *text;
	bool is_same;

	if (!name->is_escaped)
		return name->length == length && memcmp(name->text, expected, length) == 0;
	text = flex_json_string(name, &name_length);
	is_same = name_length == length && memcmp(text, expected, length) == 0;
	pfree(unconstify(char *, text));
	return is_same;
}

/* Return the value of the last member of a name; {0} if there is none, or the value is not an object. */
JsonValue
flex_json_member(const JsonValue *object, const char *name)
{
	JsonValue result = {0};
	JsonScanner scanner;
	JsonValue member;
	JsonValue value;

	if (object->kind != JSON_OBJECT)
		return result;
	flex_json_enter(&scanner, object);
	while (flex_json_next_member(&scanner, &member, &value))
	{
		if (flex_json_is_named(&member, name, strlen(name)))
			result = value;
	}
	return result;
}

bool
flex_json_boolean(const JsonValue *value)
{
	Assert(value->kind == JSON_BOOLEAN);
	return value->text[0] == 't';
}

/* Set *result to a number without fraction and exponent.  Return false for other values, and if it overflows int64. */
bool
flex_json_integer(const JsonValue *value, int64 *result)
{
	bool is_negative;
	int64 sum = 0; /* negated, because int64 has one more negative number */

	if (value->kind != JSON_NUMBER || !value->is_integer)
		return false;
	is_negative = value->text[0] == '-';
	for (size_t i = is_negative; i < value->length; i++)
	{
		if (pg_mul_s64_overflow(sum, 10, &sum) || pg_sub_s64_overflow(sum, value->text[i] - '0', &sum))
			return false;
	}
	if (!is_negative && sum == PG_INT64_MIN)
		return false;
	*result = is_negative ? sum : -sum;
	return true;
}

/* Return a number as a double; infinity if it is out of range. */
double
flex_json_double(const JsonValue *value)
{
	char buffer[64];
	char *text = value->length < sizeof(buffer) ? buffer : palloc_extended(value->length + 1, MCXT_ALLOC_HUGE);
	double result;

	Assert(value->kind == JSON_NUMBER);
	memcpy(text, value->text, value->length);
	text[value->length] = '\0';
	result = strtod(text, NULL);
	if (text != buffer)
		pfree(text);
	return result;
}

/*
 * Return a number as numeric_in() reads it; NULL if it is out of numeric's range.  Catching
 * the error without a subtransaction is safe, as numeric_in() only allocates memory.
 */
static Numeric
numeric_of_text(char *text)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Datum result = (Datum) 0;

	PG_TRY();
	{
		result =
			DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	}
	PG_CATCH();
	{
		int code = geterrcode();

		if (code != ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE && code != ERRCODE_INVALID_TEXT_REPRESENTATION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return result == (Datum) 0 ? NULL : DatumGetNumeric(result);
}

/*
 * Return a number as numeric, in the current context; NULL if it is out of that type's range,
 * which the type's input function decides.
 */
Numeric
flex_json_numeric(const JsonValue *value)
{
	int64 integer;
	char *text;
	Numeric result;

	Assert(value->kind == JSON_NUMBER);
	if (value->length <= SHORT_DIGITS && flex_json_integer(value, &integer))
		return int64_to_numeric(integer);
	if (value->length > MOST_DIGITS)
		return NULL;
	text = pnstrdup(value->text, value->length);
	result = numeric_of_text(text);
	pfree(text);
	return result;
}

/* Write the character of the escape at *from to *to, and advance both. */
static void
unescape(const char **from, const char *end, char **to)
{
	static const char marks[] = "bfnrt";
	static const char meanings[] = "\b\f\n\r\t";
	char c = (*from)[1];
	const char *mark = memchr(marks, c, lengthof(marks) - 1);
	const char *wrong PG_USED_FOR_ASSERTS_ONLY;
	pg_wchar code;

	Assert(**from == '\\');
	*from += 2;
	if (c != 'u')
	{
		*(*to)++ = mark != NULL ? meanings[mark - marks] : c;
		return;
	}
	wrong = flex_json_read_code(from, end, &code);
	Assert(wrong == NULL);
	if (code == 0 || is_utf16_surrogate_first(code) || is_utf16_surrogate_second(code))
		code = REPLACEMENT;
	unicode_to_utf8(code, (unsigned char *) *to);
	*to += pg_encoding_mblen(PG_UTF8, *to);
}

/*
 * Return the contents of a string or a name in UTF-8, and set *length.  The result is a piece
 * of the document, not null-terminated; it is palloc'd if the string has escapes.
 */
const char *
flex_json_string(const JsonValue *value, size_t *length)
{
	const char *from = value->text;
	const char *end = from + value->length;
	char *result;
	char *to;

	*length = value->length;
	if (!value->is_escaped)
		return value->text;
	/* An escape is never shorter than the character that it represents. */
	result = to = palloc_extended(value->length + 1, MCXT_ALLOC_HUGE);
	while (from < end)
	{
		const char *backslash = memchr(from, '\\', end - from);
		size_t plain = (backslash != NULL ? backslash : end) - from;

		CHECK_FOR_INTERRUPTS();
		memcpy(to, from, plain);
		from += plain;
		to += plain;
		if (backslash != NULL)
			unescape(&from, end, &to);
	}
	*length = to - result;
	return result;
}

/*
 * Copy JSON without the whitespace between its tokens, and return the new length.  "to" must
 * have as much room as the original, and may be the original.  The text is in UTF-8 or in any
 * server encoding, none of which uses ASCII bytes within other characters.
 */
size_t
flex_json_compact(char *to, const char *json, size_t length)
{
	const char *end = json + length;
	char *begin = to;
	bool is_quoted = false;

	for (const char *from = json; from < end; from++)
	{
		if (!is_quoted && (*from == ' ' || *from == '\t' || *from == '\r' || *from == '\n'))
			continue;
		if (*from == '"')
			is_quoted = !is_quoted;
		else if (*from == '\\')
			*to++ = *from++; /* the escaped character may be a quote */
		*to++ = *from;
	}
	return to - begin;
}

/* Return a value as it is in the document, including the quotes of a string. */
const char *
flex_json_source(const JsonValue *value, size_t *length)
{
	int quotes = value->kind == JSON_STRING ? 1 : 0;

	*length = value->length + 2 * quotes;
	return value->text - quotes;
}
