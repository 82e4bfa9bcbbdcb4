/*
 * encoding.c
 *		Texts between the database's encoding and the wire's UTF-8.
 *
 * Data crosses strictly: what cannot be converted is an error, for a changed
 * letter would be a wrong answer.  flex_api.unrepresentable = replace gives that
 * up for answers: U+FFFD stands for what cannot be kept, or "?" where the
 * encoding does not have it.
 *
 * The service's words in an error message cross leniently: an error that cannot
 * be told helps nobody.  Their control characters are escaped, since messages
 * reach terminals and logs.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "base/effective.h"
#include "base/encoding.h"

#define MOST_SHOWN_BYTES 4000 /* of anything in a message */
#define PIECE_BYTES 65536     /* that are converted without looking for interrupts */

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

/* True when characters that the database cannot hold are to be replaced in this call's answer. */
static bool
must_replace(void)
{
	return flex_effective_is(&flex_settings.unrepresentable, UNREPRESENTABLE_REPLACE, "replace");
}

/*
 * What a reader puts, in UTF-8, for a character of an answer that no database can
 * hold (\u0000, half of a surrogate pair); NULL: such an answer is to be refused.
 */
const char *
flex_text_stand_in(void)
{
	return must_replace() ? "\xEF\xBF\xBD" : NULL;
}

/* A copy with "?" for each byte that is not ASCII. */
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

/* Append valid UTF-8 by a conversion, with "?" for what that does not know. */
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
 * Valid UTF-8 in the database's encoding, palloc'd, with "?" for what that does
 * not have.
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

/* True when UTF-8 needs no conversion. */
static bool
database_takes_utf8(void)
{
	return GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII;
}

/*
 * UTF-8 from the wire in the database's encoding; the same pointer where nothing has
 * to be done.  A character that the database cannot hold raises 22P05, or is replaced
 * (flex_api.unrepresentable); name tells what the text is of.
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
 * Any bytes of the wire as a text of the database's encoding: palloc'd, always
 * succeeds, with "?" for what is not UTF-8 or not in that encoding.
 */
char *
flex_text_of_bytes(const char *bytes, int length)
{
	if (!pg_verify_mbstr(PG_UTF8, bytes, length, true))
		return ascii_only(bytes, length);
	return database_takes_utf8() ? pnstrdup(bytes, length) : convert_with_gaps(bytes, length, &length);
}

/* A copy of UTF-8 whose control characters, C1's included, are escaped. */
static void
append_escaped(StringInfo to, const char *text, int length)
{
	const unsigned char *end = (const unsigned char *) text + length;

	for (const unsigned char *p = (const unsigned char *) text; p < end; p++)
	{
		bool is_c1 = p[0] == 0xC2 && p + 1 < end && p[1] >= 0x80 && p[1] < 0xA0;

		if (*p == '\n')
			appendStringInfoString(to, "\\n");
		else if (*p == '\r')
			appendStringInfoString(to, "\\r");
		else if (*p == '\t')
			appendStringInfoString(to, "\\t");
		else if (*p < 0x20 || *p == 0x7F)
			appendStringInfo(to, "\\x%02x", *p);
		else if (is_c1)
			appendStringInfo(to, "\\x%02x", *++p);
		else
			appendStringInfoChar(to, *p);
	}
}

/*
 * The beginning of a text from the wire for a message, so many bytes of it at the
 * most: palloc'd, always succeeds, with "?" for what the database's encoding lacks
 * and escapes for control characters.
 */
char *
flex_text_shown(const char *text, int length, int most_bytes)
{
	StringInfoData escaped;

	if (length > most_bytes)
		length = pg_encoding_mbcliplen(PG_UTF8, text, length, most_bytes);
	initStringInfo(&escaped);
	append_escaped(&escaped, text, length);
	/* Where bytes have no meaning, a client may refuse any that are not ASCII. */
	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return ascii_only(escaped.data, escaped.len);
	return flex_text_of_bytes(escaped.data, escaped.len);
}

/* The same of as many bytes as a message has room for. */
char *
flex_text_for_message(const char *text, int length)
{
	return flex_text_shown(text, length, MOST_SHOWN_BYTES);
}

/*
 * The beginning of a text of the database's encoding, so many bytes at the most:
 * palloc'd, and never half a character, which clients refuse.  So in SQL_ASCII only
 * the ASCII is shown of what is not UTF-8.
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
