/*
 * lexical.c
 *		The words of a JSON document, checked to the letter.
 *
 * json-c takes more than RFC 8259 does (NaN, "1.", trailing commas, control
 * characters, half surrogate pairs), clamps integers beyond 64 bits, and its
 * strict mode, which differs by version, refuses good answers in some.  So it is
 * not strict, and this pass refuses the former and finds the latter; that words
 * otherwise stand in a sensible order is the parser's to see.  It runs over every
 * answer, and reads eight bytes at a time where it can.
 */
#include "postgres.h"

#include <ctype.h>

#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

#include "lexical.h"

#define MOST_EXPONENT 100000 /* well within what numeric holds */

#define NOT_JSON "is not valid JSON"

typedef struct Reader
{
	const char *at;
	const char *end;
	bool after_comma; /* the last word was one */
} Reader;

/*
 * How many of the next eight bytes come before the first quote, backslash or
 * control character.
 */
static inline int
plain_bytes(const char *text)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	const uint64 highs = UINT64CONST(0x8080808080808080);
	uint64 word;
	uint64 quote;
	uint64 backslash;
	uint64 special;

	memcpy(&word, text, 8);
#ifdef WORDS_BIGENDIAN
	word = pg_bswap64(word);
#endif
	quote = word ^ (ones * '"');
	backslash = word ^ (ones * '\\');
	/* The high bit of a byte below 0x20, or of one that is 0; what is above the lowest such may be wrong. */
	special = ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash);
	special &= highs;
	return special == 0 ? 8 : pg_rightmost_one_pos64(special) / 8;
}

/* The four hexadecimal digits at text, or -1. */
static int
hexadecimal(const char *text, const char *end)
{
	int value = 0;

	if (end - text < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		unsigned char c = text[i];

		if (!isxdigit(c))
			return -1;
		value = value * 16 + (isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value;
}

/* Step over an escape, whose backslash the reader stands at. */
static const char *
read_escape(Reader *reader)
{
	int unit;

	reader->at++;
	if (reader->at == reader->end || strchr("\"\\/bfnrtu", *reader->at) == NULL || *reader->at == '\0')
		return NOT_JSON;
	if (*reader->at++ != 'u')
		return NULL;
	unit = hexadecimal(reader->at, reader->end);
	if (unit == 0)
		return "has the character \\u0000, which PostgreSQL cannot store";
	if (unit < 0 || (unit >= 0xDC00 && unit <= 0xDFFF))
		return NOT_JSON;
	reader->at += 4;
	if (unit < 0xD800 || unit > 0xDBFF)
		return NULL;
	if (reader->end - reader->at < 6 || reader->at[0] != '\\' || reader->at[1] != 'u')
		return NOT_JSON;
	unit = hexadecimal(reader->at + 2, reader->end);
	reader->at += 6;
	return unit >= 0xDC00 && unit <= 0xDFFF ? NULL : NOT_JSON;
}

/* Step over a string, whose first quote the reader stands at. */
static const char *
read_string(Reader *reader)
{
	reader->at++;
	while (reader->at < reader->end)
	{
		const char *wrong;

		if (reader->end - reader->at >= 8)
		{
			int plain = plain_bytes(reader->at);

			reader->at += plain;
			if (plain == 8)
				continue;
		}
		if (*reader->at == '"')
		{
			reader->at++;
			return NULL;
		}
		if ((unsigned char) *reader->at < 0x20)
			return NOT_JSON;
		if (*reader->at != '\\')
			reader->at++;
		else if ((wrong = read_escape(reader)) != NULL)
			return wrong;
	}
	return NULL; /* the parser will see that it does not end */
}

/* Step over digits; returns how many there were. */
static size_t
read_digits(Reader *reader)
{
	const char *start = reader->at;

	while (reader->at < reader->end && isdigit((unsigned char) *reader->at))
		reader->at++;
	return reader->at - start;
}

/* Step over one of the characters given, if it is next. */
static bool
read_one_of(Reader *reader, const char *characters)
{
	if (reader->at == reader->end || *reader->at == '\0' || strchr(characters, *reader->at) == NULL)
		return false;
	reader->at++;
	return true;
}

/* Step over a number; *is_long tells of an integer that may not fit in 64 bits. */
static const char *
read_number(Reader *reader, bool *is_long)
{
	const char *first;
	size_t digits;
	bool is_integer = true;

	read_one_of(reader, "-");
	first = reader->at;
	digits = read_digits(reader);
	if (digits == 0 || (digits > 1 && *first == '0'))
		return NOT_JSON;
	if (read_one_of(reader, "."))
	{
		is_integer = false;
		if (read_digits(reader) == 0)
			return NOT_JSON;
	}
	if (read_one_of(reader, "eE"))
	{
		is_integer = false;
		read_one_of(reader, "+-");
		first = reader->at;
		if (read_digits(reader) == 0)
			return NOT_JSON;
		if (reader->at - first > 6 || atoi(first) > MOST_EXPONENT)
			return "has a number that PostgreSQL cannot store";
	}
	*is_long = is_integer && digits >= FLEX_LONG_DIGITS;
	return digits > MOST_EXPONENT ? "has a number that PostgreSQL cannot store" : NULL;
}

/* Step over true, false or null. */
static const char *
read_literal(Reader *reader)
{
	static const char *const literals[] = {"true", "false", "null"};

	for (size_t i = 0; i < lengthof(literals); i++)
	{
		size_t length = strlen(literals[i]);

		if ((size_t) (reader->end - reader->at) >= length && memcmp(reader->at, literals[i], length) == 0)
		{
			reader->at += length;
			return NULL;
		}
	}
	return NOT_JSON;
}

/* Step over one word of any kind, or blank. */
static const char *
read_word(Reader *reader, bool *is_long)
{
	bool after_comma = reader->after_comma;

	*is_long = false;
	reader->after_comma = false;
	switch (*reader->at)
	{
		case '"':
			return read_string(reader);
		case '}':
		case ']':
			reader->at++;
			return after_comma ? NOT_JSON : NULL;
		case ',':
			reader->after_comma = true;
			reader->at++;
			return NULL;
		case '{':
		case '[':
		case ':':
			reader->at++;
			return NULL;
		case ' ':
		case '\t':
		case '\r':
		case '\n':
			reader->after_comma = after_comma;
			reader->at++;
			return NULL;
		case 't':
		case 'f':
		case 'n':
			return read_literal(reader);
		default:
			return read_number(reader, is_long);
	}
}

/*
 * What is wrong with the words of a document, as the end of a sentence, or
 * NULL.  Tells whether it has integers that may not fit in 64 bits.
 */
const char *
flex_lexical_complaint(const char *bytes, size_t length, bool *has_long_integers)
{
	Reader reader = {.at = bytes, .end = bytes + length};

	*has_long_integers = false;
	while (reader.at < reader.end)
	{
		bool is_long;
		const char *start = reader.at;
		const char *wrong = read_word(&reader, &is_long);

		if (wrong != NULL && *start == '"' && reader.at >= reader.end)
			return NULL; /* cut short: the parser says that better */
		if (wrong != NULL)
			return wrong;
		*has_long_integers |= is_long;
	}
	return NULL;
}

/*
 * A copy of a document without complaints in which each long integer has "E0"
 * behind it: the same value, and a parser keeps its digits as it does a
 * fraction's.
 */
void
flex_lexical_widen(StringInfo wide, const char *bytes, size_t length)
{
	Reader reader = {.at = bytes, .end = bytes + length};

	initStringInfo(wide);
	while (reader.at < reader.end)
	{
		const char *start = reader.at;
		bool is_long;

		(void) read_word(&reader, &is_long);
		if (reader.at == start)
			reader.at++;
		appendBinaryStringInfo(wide, start, reader.at - start);
		if (is_long)
			appendStringInfoString(wide, "E0");
	}
}
