/*
 * json_scan.c
 *		Scans a JSON document token by token.
 *
 * The scanner accepts exactly the JSON of RFC 8259, nested no deeper than FLEX_MOST_DEPTH.  It
 * allocates no memory, and never reads beyond the given bytes, which need not be
 * null-terminated.  Strings, the larger part of most answers, are scanned eight bytes at a
 * time.
 *
 * No error is raised except by interrupts.  Instead, an invalid document results in a
 * complaint, after which there are no more tokens.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

#include "answer/json_scan.h"

#define BYTES_BETWEEN_INTERRUPTS (64 * 1024)

#define NOT_JSON "is not valid JSON"
#define CUT_SHORT "ends too early"

#define HIGH_BITS UINT64CONST(0x8080808080808080)

/* Initialize a scanner for a document, which must stay in memory while the scanner or its values are used. */
void
flex_json_begin(JsonScanner *scanner, const char *bytes, size_t length)
{
	scanner->begin = scanner->at = scanner->pause = bytes;
	scanner->end = bytes + length;
	scanner->expects = EXPECT_VALUE;
	scanner->depth = 0;
	scanner->high_bits = 0;
	scanner->complaint = length == 0 ? "is empty" : NULL;
	scanner->unrepresentable = NULL;
	scanner->token = (JsonValue){0};
}

/* Note what is wrong with the document, and stop the scanner. */
static pg_noinline JsonToken
complain(JsonScanner *scanner, const char *complaint)
{
	if (scanner->complaint == NULL)
		scanner->complaint = complaint;
	scanner->expects = EXPECT_NOTHING;
	return JSON_STOP;
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Return how many of the next eight bytes come before the first quote, backslash or control
 * character.  All eight bytes are ORed into *seen.
 */
static inline int
plain_bytes(const char *text, uint64 *seen)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
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
	/*
	 * Set the high bit of each byte that is below 0x20 in word, or 0 in quote or backslash.
	 * Borrows can set further bits, but only above the lowest one, which is all we look at.
	 */
	special = ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash);
	special &= HIGH_BITS;
	*seen |= word;
	return special == 0 ? 8 : pg_rightmost_one_pos64(special) / 8;
}

/* Skip plain characters of a string, eight at a time.  The next byte is a special one, or fewer than eight are left. */
static inline const char *
skip_plain(const char *at, const char *end, uint64 *seen)
{
	while (end - at >= 8)
	{
		int plain = plain_bytes(at, seen);

		at += plain;
		if (plain < 8)
			break;
	}
	return at;
}

/* Read the four digits of \uXXXX after the u, and advance *at.  Return what is wrong, or NULL. */
static const char *
read_unit(const char **at, const char *end, pg_wchar *unit)
{
	*unit = 0;
	for (int i = 0; i < 4; i++, (*at)++)
	{
		char c;

		if (*at == end)
			return CUT_SHORT;
		c = **at;
		if (is_digit(c))
			*unit = *unit * 16 + c - '0';
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			*unit = *unit * 16 + (c | 0x20) - 'a' + 10;
		else
			return NOT_JSON;
	}
	return NULL;
}

/*
 * Read the character of \uXXXX after the u, or of two such escapes that are a surrogate pair,
 * and advance *at.  Return what is wrong, or NULL.  *code may still be 0 or half of a
 * surrogate pair, which PostgreSQL cannot store.
 */
const char *
flex_json_read_code(const char **at, const char *end, pg_wchar *code)
{
	const char *wrong = read_unit(at, end, code);
	const char *ahead;
	pg_wchar second;

	if (wrong != NULL || !is_utf16_surrogate_first(*code) || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
		return wrong;
	ahead = *at + 2;
	if (read_unit(&ahead, end, &second) != NULL || !is_utf16_surrogate_second(second))
		return NULL;
	*at = ahead;
	*code = surrogate_pair_to_codepoint(*code, second);
	return NULL;
}

/* Note an escape of a character that PostgreSQL cannot store. */
static void
note_unrepresentable(JsonScanner *scanner, const char *complaint)
{
	if (scanner->unrepresentable == NULL)
		scanner->unrepresentable = complaint;
}

/* Read an escape, at whose backslash the scanner is.  Return what is wrong, or NULL. */
static pg_noinline const char *
read_escape(JsonScanner *scanner)
{
	const char *wrong;
	pg_wchar code;

	scanner->token.is_escaped = true;
	if (++scanner->at == scanner->end)
		return CUT_SHORT;
	if (memchr("\"\\/bfnrtu", *scanner->at, 9) == NULL)
		return NOT_JSON;
	if (*scanner->at++ != 'u')
		return NULL;
	if ((wrong = flex_json_read_code(&scanner->at, scanner->end, &code)) != NULL)
		return wrong;
	if (code == 0)
		note_unrepresentable(scanner, "has the character \\u0000, which PostgreSQL cannot store");
	else if (is_utf16_surrogate_first(code) || is_utf16_surrogate_second(code))
		note_unrepresentable(scanner, "has half of a surrogate pair, which PostgreSQL cannot store");
	return NULL;
}

/* Read a string, at whose first quote the scanner is.  Return what is wrong, or NULL. */
static inline const char *
read_string(JsonScanner *scanner)
{
	scanner->token.text = ++scanner->at;
	scanner->token.is_escaped = false;
	while ((scanner->at = skip_plain(scanner->at, scanner->end, &scanner->high_bits)) < scanner->end)
	{
		const char *wrong;

		if (*scanner->at == '"')
		{
			scanner->token.length = scanner->at++ - scanner->token.text;
			return NULL;
		}
		if ((unsigned char) *scanner->at < 0x20)
			return NOT_JSON;
		if (*scanner->at != '\\')
			scanner->high_bits |= (unsigned char) *scanner->at++;
		else if ((wrong = read_escape(scanner)) != NULL)
			return wrong;
	}
	return CUT_SHORT;
}

/* Skip digits, and return how many there were. */
static inline size_t
skip_digits(JsonScanner *scanner)
{
	const char *start = scanner->at;

	while (scanner->at < scanner->end && is_digit(*scanner->at))
		scanner->at++;
	return scanner->at - start;
}

/* Skip the next character if it is one of two, and return whether it was. */
static inline bool
read_either(JsonScanner *scanner, char one, char other)
{
	if (scanner->at == scanner->end || (*scanner->at != one && *scanner->at != other))
		return false;
	scanner->at++;
	return true;
}

/* Read a number.  Return what is wrong, or NULL. */
static const char *
read_number(JsonScanner *scanner)
{
	const char *first;
	size_t digits;

	read_either(scanner, '-', '-');
	first = scanner->at;
	digits = skip_digits(scanner);
	if (digits == 0 || (digits > 1 && *first == '0'))
		return NOT_JSON;
	scanner->token.is_integer = true;
	if (read_either(scanner, '.', '.'))
	{
		scanner->token.is_integer = false;
		if (skip_digits(scanner) == 0)
			return NOT_JSON;
	}
	if (read_either(scanner, 'e', 'E'))
	{
		scanner->token.is_integer = false;
		read_either(scanner, '+', '-');
		if (skip_digits(scanner) == 0)
			return NOT_JSON;
	}
	return NULL;
}

/* Read true, false or null.  Return what is wrong, or NULL. */
static const char *
read_literal(JsonScanner *scanner, const char *literal)
{
	size_t length = strlen(literal);

	if ((size_t) (scanner->end - scanner->at) < length || memcmp(scanner->at, literal, length) != 0)
		return NOT_JSON;
	scanner->at += length;
	return NULL;
}

/* Return true if the innermost array or object is an object. */
static inline bool
is_in_object(const JsonScanner *scanner)
{
	int level = scanner->depth - 1;

	Assert(level >= 0);
	return (scanner->objects[level / 64] >> (level % 64)) & 1;
}

/* Read the bracket or brace that begins an array or object. */
static inline JsonToken
begin_container(JsonScanner *scanner, JsonToken kind)
{
	uint64 *word = &scanner->objects[scanner->depth / 64];
	uint64 bit = UINT64CONST(1) << (scanner->depth % 64);

	if (scanner->depth == FLEX_MOST_DEPTH)
		return complain(scanner, "is nested too deep");
	*word = kind == JSON_OBJECT ? *word | bit : *word & ~bit;
	scanner->depth++;
	scanner->at++;
	scanner->expects = kind == JSON_OBJECT ? EXPECT_FIRST_NAME : EXPECT_FIRST_VALUE;
	return kind;
}

/* Read a value, at whose first byte the scanner is. */
static inline JsonToken
read_value(JsonScanner *scanner)
{
	const char *wrong;
	JsonValue *token = &scanner->token;

	token->text = scanner->at;
	switch (*scanner->at)
	{
		case '{':
			return begin_container(scanner, token->kind = JSON_OBJECT);
		case '[':
			return begin_container(scanner, token->kind = JSON_ARRAY);
		case '"':
			token->kind = JSON_STRING;
			wrong = read_string(scanner);
			break;
		case 't':
			token->kind = JSON_BOOLEAN;
			wrong = read_literal(scanner, "true");
			break;
		case 'f':
			token->kind = JSON_BOOLEAN;
			wrong = read_literal(scanner, "false");
			break;
		case 'n':
			token->kind = JSON_NULL;
			wrong = read_literal(scanner, "null");
			break;
		default:
			token->kind = JSON_NUMBER;
			wrong = read_number(scanner);
			break;
	}
	if (wrong != NULL)
		return complain(scanner, wrong);
	if (token->kind != JSON_STRING)
		token->length = scanner->at - token->text;
	scanner->expects = EXPECT_REST;
	return token->kind;
}

/* Skip whitespace.  Return false at the document's end. */
static inline bool
skip_blanks(JsonScanner *scanner)
{
	while (scanner->at < scanner->end &&
		   (*scanner->at == ' ' || *scanner->at == '\n' || *scanner->at == '\r' || *scanner->at == '\t'))
		scanner->at++;
	return scanner->at < scanner->end;
}

/* Read the name of a member, and the colon after it. */
static inline JsonToken
read_name(JsonScanner *scanner)
{
	const char *wrong = *scanner->at == '"' ? read_string(scanner) : NOT_JSON;

	if (wrong != NULL)
		return complain(scanner, wrong);
	if (!skip_blanks(scanner))
		return complain(scanner, CUT_SHORT);
	if (*scanner->at++ != ':')
		return complain(scanner, NOT_JSON);
	scanner->expects = EXPECT_VALUE;
	return JSON_NAME;
}

/* Read the bracket or brace that ends the innermost array or object. */
static inline JsonToken
end_container(JsonScanner *scanner)
{
	if (*scanner->at != (is_in_object(scanner) ? '}' : ']'))
		return complain(scanner, NOT_JSON);
	scanner->at++;
	scanner->depth--;
	scanner->expects = EXPECT_REST;
	return JSON_END;
}

/* Read the comma after a value.  Return false if there is none. */
static inline bool
read_comma(JsonScanner *scanner)
{
	if (!read_either(scanner, ',', ','))
		return false;
	scanner->expects = is_in_object(scanner) ? EXPECT_NAME : EXPECT_VALUE;
	return true;
}

/* Read the next token of the document.  For a value or a name, scanner->token describes it. */
JsonToken
flex_json_next(JsonScanner *scanner)
{
	if (unlikely(scanner->at >= scanner->pause))
	{
		CHECK_FOR_INTERRUPTS();
		scanner->pause = scanner->at + BYTES_BETWEEN_INTERRUPTS;
	}
	while (skip_blanks(scanner))
	{
		switch (scanner->expects)
		{
			case EXPECT_REST:
				if (scanner->depth == 0)
					return complain(scanner, "has something after its end");
				if (!read_comma(scanner))
					return end_container(scanner);
				break;
			case EXPECT_FIRST_NAME:
				if (*scanner->at == '}')
					return end_container(scanner);
				return read_name(scanner);
			case EXPECT_NAME:
				return read_name(scanner);
			case EXPECT_FIRST_VALUE:
				if (*scanner->at == ']')
					return end_container(scanner);
				return read_value(scanner);
			case EXPECT_VALUE:
				return read_value(scanner);
			case EXPECT_NOTHING:
				return JSON_STOP;
		}
	}
	return scanner->depth == 0 && scanner->expects == EXPECT_REST ? JSON_STOP : complain(scanner, CUT_SHORT);
}

/*
 * Skip the array or object that the last token began, and return how many elements or members
 * it has.
 */
int64
flex_json_skip(JsonScanner *scanner)
{
	int depth = scanner->depth;
	int64 count = 0;

	for (;;)
	{
		switch (flex_json_next(scanner))
		{
			case JSON_STOP:
				return count;
			case JSON_END:
				if (scanner->depth < depth)
					return count;
				break;
			case JSON_NAME:
				break;
			case JSON_ARRAY:
			case JSON_OBJECT:
				count += scanner->depth - 1 == depth;
				break;
			default:
				count += scanner->depth == depth;
				break;
		}
	}
}

/* Return true if all bytes are valid UTF-8 without zero bytes. */
static bool
is_utf8(const char *at, const char *end)
{
	while (at < end)
	{
		int length = Min(end - at, BYTES_BETWEEN_INTERRUPTS);
		int good = pg_encoding_verifymbstr(PG_UTF8, at, length);

		CHECK_FOR_INTERRUPTS();
		/* A piece may end in the middle of a character, which then begins the next piece. */
		if (good == 0 || (good < length && (at + length == end || length - good >= pg_encoding_max_length(PG_UTF8))))
			return false;
		at += good;
	}
	return true;
}

/*
 * Read the rest of a document.  Return NULL if it is valid, or else what is wrong with it, as
 * the end of a sentence that begins with "The body".
 */
const char *
flex_json_finish(JsonScanner *scanner)
{
	while (flex_json_next(scanner) != JSON_STOP)
		;
	if ((scanner->complaint != NULL || (scanner->high_bits & HIGH_BITS) != 0) && !is_utf8(scanner->begin, scanner->end))
		return memchr(scanner->begin, '\0', scanner->end - scanner->begin) ? "has a zero byte" : "is not valid UTF-8";
	return scanner->complaint;
}
