/*
 * encoding.c
 *		Texts between the database's encoding and the wire's UTF-8.
 *
 * Data crosses strictly: what cannot be converted is an error, for a changed
 * letter would be a wrong answer.  The service's words in an error message
 * cross leniently: an error that cannot be told helps nobody.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"

#include "encoding.h"

#define MOST_SHOWN_BYTES 4000 /* of anything in a message */

/* Tell, in an error's context, which text cannot be converted. */
static void
describe_text(void *argument)
{
	const char *name = argument;

	errcontext("text of \"%s\"", name);
}

/*
 * The text in UTF-8; the same pointer where nothing has to be done.  Raises
 * 22021 or 22P05 where it cannot be; name tells what the text is of.
 */
char *
flex_text_to_wire(const char *text, const char *name)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_text,
		.arg = unconstify(char *, name),
	};
	char *converted;

	error_context_stack = &context;
	converted = pg_server_to_any(text, strlen(text), PG_UTF8);
	error_context_stack = context.previous;
	return converted;
}

/*
 * A text from the wire, known to be UTF-8, in the database's encoding; the same
 * pointer where nothing has to be done.  Raises 22P05 for a character that the
 * database cannot hold; name tells what the text is of.
 */
char *
flex_text_from_wire(const char *text, int length, int *result_length, const char *name)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_text,
		.arg = unconstify(char *, name),
	};
	char *converted;

	*result_length = length;
	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return unconstify(char *, text);
	error_context_stack = &context;
	converted = pg_any_to_server(text, length, PG_UTF8);
	error_context_stack = context.previous;
	if (converted != text)
		*result_length = strlen(converted);
	return converted;
}

/* Replace each byte that is not printable ASCII; palloc'd. */
static char *
ascii_only(const char *text, int length)
{
	char *clean = pnstrdup(text, length);

	for (char *p = clean; *p; p++)
	{
		if (IS_HIGHBIT_SET(*p))
			*p = '?';
	}
	return clean;
}

/*
 * A text from the wire for a message: palloc'd, always succeeds, and puts "?"
 * for what the database's encoding lacks.
 */
char *
flex_text_for_message(const char *text, int length)
{
	int encoding = GetDatabaseEncoding();
	bool valid;
	int capacity;
	char *result;
	int written = 0;
	Oid conversion;

	if (length > MOST_SHOWN_BYTES)
		length = pg_encoding_mbcliplen(PG_UTF8, text, length, MOST_SHOWN_BYTES);
	valid = pg_verify_mbstr(PG_UTF8, text, length, true);
	capacity = length * MAX_CONVERSION_GROWTH + 1;
	if (encoding == PG_UTF8 && valid)
		return pnstrdup(text, length);
	conversion =
		encoding == PG_UTF8 || encoding == PG_SQL_ASCII ? InvalidOid : FindDefaultConversionProc(PG_UTF8, encoding);
	if (!valid || !OidIsValid(conversion))
		return ascii_only(text, length);

	result = palloc(capacity + 1);
	while (length > 0)
	{
		int done = pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding, (unsigned char *) text, length,
												 (unsigned char *) result + written, capacity - written, true);

		written += strlen(result + written);
		text += done;
		length -= done;
		if (length > 0)
		{
			int skip = pg_encoding_mblen(PG_UTF8, text);

			result[written++] = '?';
			text += skip;
			length -= skip;
		}
	}
	result[written] = '\0';
	return result;
}
