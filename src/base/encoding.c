/*
 * encoding.c
 *		Converts texts between the database's encoding and UTF-8, as on the wire.
 *
 * Data is converted strictly: a character that cannot be converted raises an error, because
 * replacing it would falsify the data.  With flex_api.unrepresentable = replace, such
 * characters of answers are replaced by U+FFFD, or by "?" if the encoding does not have that.
 *
 * The service's texts in error messages are converted leniently, so that the error can always
 * be reported.  Their control characters are escaped, as messages reach terminals and logs.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "base/effective.h"
#include "base/encoding.h"

#define MOST_SHOWN_BYTES 4000 /* of any text in a message */
#define PIECE_BYTES 65536     /* converted between two checks for interrupts */

/* Error context callback: which text could not be converted. */
static void
describe_text(void *argument)
{
	const char *name = argument;

	errcontext("text of \"%s\"", name);
}

/*
 * Convert a text to UTF-8.  The result is palloc'd, or the same pointer if no conversion is
 * needed.  name is that of the argument or so, for the error's context.  Raises 22021 or 22P05
 * if the text cannot be converted.
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

/* Return true if unrepresentable characters in the answer of the current call have to be replaced. */
static bool
must_replace(void)
{
	return flex_effective_is(&flex_settings.unrepresentable, UNREPRESENTABLE_REPLACE, "replace");
}

/*
 * Return the replacement, in UTF-8, for an escape that no database can store (\u0000, half of
 * a surrogate pair); NULL if such an answer has to be refused.
 */
const char *
flex_text_stand_in(void)
{
	return must_replace() ? "\xEF\xBF\xBD" : NULL;
}

/* Return a copy with "?" in the place of each non-ASCII byte. */
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

/* Append valid UTF-8, converted by a conversion function, with "?" for characters that cannot be converted. */
static void
append_converted(StringInfo to, Oid conversion, const char *text, int length)
{
	enlargeStringInfo(to, length * MAX_CONVERSION_GROWTH + 1);
	while (length > 0)
	{
		int done =
			pg_do_encoding_conversion_buf(conversion, PG_UTF8, GetDatabaseEncoding(), (unsigned char *) text, length,
										  (unsigned char *) to->data + to->len, to->maxlen - to->len, true);

		to->len += strlen(to->data + to->len);
		text += done;
		length -= done;
		if (length > 0)
		{
			int skip = pg_encoding_mblen(PG_UTF8, text);

			appendStringInfoChar(to, '?');
			text += skip;
			length -= skip;
		}
	}
}

/*
 * Convert valid UTF-8 to the database's encoding, with "?" for characters that it does not
 * have; palloc'd.
 */
static char *
convert_with_gaps(const char *text, int length, int *result_length)
{
	Oid conversion = FindDefaultConversionProc(PG_UTF8, GetDatabaseEncoding());
	StringInfoData result;

	if (!OidIsValid(conversion))
	{
		*result_length = length;
		return ascii_only(text, length);
	}
	initStringInfo(&result);
	while (length > 0)
	{
		int piece = pg_encoding_mbcliplen(PG_UTF8, text, length, PIECE_BYTES);

		CHECK_FOR_INTERRUPTS();
		append_converted(&result, conversion, text, piece);
		text += piece;
		length -= piece;
	}
	*result_length = result.len;
	return result.data;
}

/* Return true if the database can store UTF-8 without conversion. */
static bool
database_takes_utf8(void)
{
	return GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII;
}

/*
 * Convert valid UTF-8 from the wire to the database's encoding.  The result is palloc'd, or
 * the same pointer if no conversion is needed.  name is that of the member or so, for the
 * error's context.  A character that the encoding does not have is replaced or raises 22P05,
 * depending on flex_api.unrepresentable.
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
	if (database_takes_utf8())
		return unconstify(char *, text);
	if (must_replace())
		return convert_with_gaps(text, length, result_length);
	error_context_stack = &context;
	converted = pg_any_to_server(text, length, PG_UTF8);
	error_context_stack = context.previous;
	if (converted != text)
		*result_length = strlen(converted);
	return converted;
}

/*
 * Convert any bytes from the wire to a valid text in the database's encoding; palloc'd.  This
 * always succeeds: "?" replaces what is not UTF-8 or not in that encoding.
 */
char *
flex_text_of_bytes(const char *bytes, int length)
{
	if (!pg_verify_mbstr(PG_UTF8, bytes, length, true))
		return ascii_only(bytes, length);
	return database_takes_utf8() ? pnstrdup(bytes, length) : convert_with_gaps(bytes, length, &length);
}

/* Return how many printable characters of ASCII a text begins with. */
static int
plain_length(const char *text, const char *end)
{
	const char *p = text;

	while (p < end && *p >= ' ' && *p < 0x7F)
		p++;
	return (int) (p - text);
}

/* Append any other byte, escaped if it is a control character or begins one of C1.  Return how many bytes that were. */
static int
append_other(StringInfo to, const char *text, const char *end)
{
	unsigned char c = *text;
	unsigned char next = text + 1 < end ? text[1] : 0;

	if (c == 0xC2 && next >= 0x80 && next < 0xA0)
	{
		appendStringInfo(to, "\\x%02x", next);
		return 2;
	}
	if (c == '\n')
		appendStringInfoString(to, "\\n");
	else if (c == '\r')
		appendStringInfoString(to, "\\r");
	else if (c == '\t')
		appendStringInfoString(to, "\\t");
	else if (c < 0x20 || c == 0x7F)
		appendStringInfo(to, "\\x%02x", c);
	else
		appendStringInfoChar(to, c);
	return 1;
}

/* Append UTF-8 with control characters, including C1, escaped. */
static void
append_escaped(StringInfo to, const char *text, int length)
{
	const char *end = text + length;

	while (text < end)
	{
		int plain = plain_length(text, end);

		appendBinaryStringInfo(to, text, plain);
		text += plain;
		if (text < end)
			text += append_other(to, text, end);
	}
}

/*
 * Return the beginning of a text from the wire, at most most_bytes of it, for a message;
 * palloc'd.  Control characters are escaped, and "?" replaces characters that the database's
 * encoding does not have.  This always succeeds.
 */
char *
flex_text_shown(const char *text, int length, int most_bytes)
{
	StringInfoData escaped;

	if (length > most_bytes)
		length = pg_encoding_mbcliplen(PG_UTF8, text, length, most_bytes);
	initStringInfo(&escaped);
	append_escaped(&escaped, text, length);
	/* SQL_ASCII does not say how non-ASCII bytes are to be read, and a client may refuse them. */
	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return ascii_only(escaped.data, escaped.len);
	return flex_text_of_bytes(escaped.data, escaped.len);
}

/* The same, limited to the length that is reasonable for a message. */
char *
flex_text_for_message(const char *text, int length)
{
	return flex_text_shown(text, length, MOST_SHOWN_BYTES);
}

/*
 * Return the beginning of a text in the database's encoding, at most most_bytes; palloc'd.  It
 * never ends within a character, which clients would refuse.  In SQL_ASCII, a text that is not
 * UTF-8 is reduced to ASCII for the same reason.
 */
char *
flex_text_clip(const char *text, int most_bytes)
{
	int length = strlen(text);

	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		return pnstrdup(text, pg_mbcliplen(text, length, most_bytes));
	if (!pg_verify_mbstr(PG_UTF8, text, length, true))
		return ascii_only(text, Min(length, most_bytes));
	return pnstrdup(text, pg_encoding_mbcliplen(PG_UTF8, text, length, most_bytes));
}
