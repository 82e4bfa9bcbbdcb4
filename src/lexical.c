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
 *
 * On its way it notes where the arrays are that hold a page's rows, and where
 * they can be cut, so that a few rows can be parsed at a time.
 */
#include "postgres.h"

#include <ctype.h>

#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

#include "lexical.h"

#define MOST_EXPONENT 100000 /* well within what numeric holds */

/* A few dozen rows: their tree stays in the processor's caches. */
#define SLICE_BYTES (16 * 1024)

/*
 * Memory of a tree: a value, however short, takes what a part has, an object or
 * array more.  A document may take so much, and so many times its bytes: a few
 * bytes of "{}," over and over would take hundreds of times theirs.
 */
#define PART_BYTES 64
#define CONTAINER_PARTS 12
#define TREE_BYTES (INT64CONST(256) * 1024 * 1024)
#define TREE_TIMES 16

#define NOT_JSON "is not valid JSON"

#define HIGH_BITS UINT64CONST(0x8080808080808080)

#define WORD 'w' /* stands for a string, a number or a literal */

typedef struct Reader
{
	const char *at;
	const char *end;
	char last;         /* the last mark, or WORD */
	char outermost;    /* the bracket that opens the document */
	int depth;         /* of brackets */
	int64 parts;       /* since the last cut */
	uint64 high_bits;  /* of bytes in strings */
	bool is_long;      /* the last word is an integer that may not fit in 64 bits */
	char *copy;        /* the document, where escapes that cannot be kept are to be replaced; NULL: they are not */
	const char *begin; /* of the document */
	ArrayPlace *array; /* that is being read; NULL: none that is noted */
	const char *cut;   /* where it was begun, or cut last */
	LexicalFindings *findings;
} Reader;

/*
 * How many of the next eight bytes come before the first quote, backslash or
 * control character; *seen gathers their bits.
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
	/* The high bit of a byte below 0x20, or of one that is 0; what is above the lowest such may be wrong. */
	special = ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash);
	special &= HIGH_BITS;
	*seen |= word;
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

static inline bool
is_first_half(int unit)
{
	return unit >= 0xD800 && unit <= 0xDBFF;
}

static inline bool
is_second_half(int unit)
{
	return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* True when the next escape is the second half of a surrogate pair. */
static bool
is_second_half_next(const Reader *reader)
{
	return reader->end - reader->at >= 6 && reader->at[0] == '\\' && reader->at[1] == 'u' &&
		   is_second_half(hexadecimal(reader->at + 2, reader->end));
}

/* The digits of an escape stand for nothing that can be kept: note it, or replace them. */
static void
note_unrepresentable(Reader *reader, const char *digits, const char *complaint)
{
	if (reader->copy != NULL)
		memcpy(reader->copy + (digits - reader->begin), "fffd", 4);
	else if (reader->findings != NULL && reader->findings->unrepresentable == NULL)
		reader->findings->unrepresentable = complaint;
}

/* Step over an escape, whose backslash the reader stands at. */
static pg_noinline const char *
read_escape(Reader *reader)
{
	const char *digits;
	int unit;

	reader->at++;
	if (reader->at == reader->end || strchr("\"\\/bfnrtu", *reader->at) == NULL || *reader->at == '\0')
		return NOT_JSON;
	if (*reader->at++ != 'u')
		return NULL;
	unit = hexadecimal(reader->at, reader->end);
	if (unit < 0)
		return NOT_JSON;
	digits = reader->at;
	reader->at += 4;
	if (unit == 0)
		note_unrepresentable(reader, digits, "has the character \\u0000, which PostgreSQL cannot store");
	else if (is_first_half(unit) && is_second_half_next(reader))
		reader->at += 6;
	else if (is_first_half(unit) || is_second_half(unit))
		note_unrepresentable(reader, digits, "has half of a surrogate pair, which PostgreSQL cannot store");
	return NULL;
}

/* Step over what needs no look: the next byte does, or is one of the last eight. */
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

/* Step over a string, whose first quote the reader stands at. */
static inline const char *
read_string(Reader *reader)
{
	reader->at++;
	while ((reader->at = skip_plain(reader->at, reader->end, &reader->high_bits)) < reader->end)
	{
		const char *wrong;

		if (*reader->at == '"')
		{
			reader->at++;
			return NULL;
		}
		if ((unsigned char) *reader->at < 0x20)
			return NOT_JSON;
		if (*reader->at != '\\')
			reader->high_bits |= (unsigned char) *reader->at++;
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

/* Step over a number. */
static pg_noinline const char *
read_number(Reader *reader)
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
	reader->is_long = is_integer && digits >= FLEX_LONG_DIGITS;
	return digits > MOST_EXPONENT ? "has a number that PostgreSQL cannot store" : NULL;
}

/* Step over true, false or null. */
static pg_noinline const char *
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

/* Make room for one more item in an array of any, which is palloc'd. */
static void *
make_room(void *items, size_t size, int count, int *capacity)
{
	if (count < *capacity)
		return items;
	*capacity = Max(16, *capacity * 2);
	return items == NULL ? palloc(size * *capacity) : repalloc_huge(items, size * *capacity);
}

/* An array begins: note it, if it is a member of the outermost object. */
static pg_noinline void
note_array(Reader *reader)
{
	LexicalFindings *found = reader->findings;

	if (found == NULL || reader->depth != 2 || reader->outermost != '{')
		return;
	found->arrays = make_room(found->arrays, sizeof(ArrayPlace), found->array_count, &found->array_capacity);
	reader->array = &found->arrays[found->array_count++];
	reader->array->begin = reader->cut = reader->at + 1;
	reader->array->count = 0;
	reader->array->first_cut = found->cut_count;
}

/* Nothing after this is parsed together with what was before. */
static void
end_stretch(Reader *reader)
{
	reader->findings->parts += reader->parts;
	reader->findings->most_parts = Max(reader->findings->most_parts, reader->parts);
	reader->parts = 0;
}

/* A comma comes: count it, if it is between elements of a noted array. */
static inline void
note_comma(Reader *reader)
{
	LexicalFindings *found = reader->findings;

	reader->parts++;
	if (reader->depth != 2 || reader->array == NULL)
		return;
	reader->array->count++;
	if (reader->at - reader->cut < SLICE_BYTES)
		return;
	found->cuts = make_room(found->cuts, sizeof(char *), found->cut_count, &found->cut_capacity);
	found->cuts[found->cut_count++] = reader->cut = reader->at;
	end_stretch(reader);
}

/* Step over an opening bracket. */
static inline void
read_opening(Reader *reader)
{
	if (reader->depth < FLEX_MOST_DEPTH)
		reader->parts += CONTAINER_PARTS;
	if (reader->depth++ == 0)
		reader->outermost = *reader->at;
	if (*reader->at == '[')
		note_array(reader);
	reader->last = *reader->at++;
}

/* Step over a closing bracket. */
static inline const char *
read_closing(Reader *reader)
{
	if (reader->last == ',')
		return NOT_JSON;
	if (reader->depth-- == 2 && reader->array != NULL)
	{
		reader->array->end = reader->at;
		reader->array->count += reader->last != '[';
		reader->array = NULL;
	}
	reader->last = *reader->at++;
	return NULL;
}

/* Step over one word of any kind, or blank. */
static pg_attribute_always_inline const char *
read_word(Reader *reader)
{
	switch (*reader->at)
	{
		case '"':
			reader->last = WORD;
			return read_string(reader);
		case ',':
			note_comma(reader);
			reader->last = *reader->at++;
			return NULL;
		case ':':
			reader->last = *reader->at++;
			return NULL;
		case '{':
		case '[':
			read_opening(reader);
			return NULL;
		case '}':
		case ']':
			return read_closing(reader);
		case ' ':
		case '\t':
		case '\r':
		case '\n':
			reader->at++;
			return NULL;
		case 't':
		case 'f':
		case 'n':
			reader->last = WORD;
			return read_literal(reader);
		default:
			reader->last = WORD;
			return read_number(reader);
	}
}

/*
 * What is wrong with the words of a document, as the end of a sentence, or
 * NULL.  The findings are good if nothing is, and arrays that they tell of have
 * ends if the document is JSON.
 */
const char *
flex_lexical_complaint(const char *bytes, size_t length, LexicalFindings *findings)
{
	Reader reader = {.at = bytes, .end = bytes + length, .findings = findings};

	*findings = (LexicalFindings){0};
	while (reader.at < reader.end)
	{
		const char *start = reader.at;
		const char *wrong = read_word(&reader);

		if (wrong != NULL && *start == '"' && reader.at >= reader.end)
			break; /* cut short: the parser says that better */
		if (wrong != NULL)
			return wrong;
		findings->has_long_integers |= reader.is_long;
	}
	if (reader.array != NULL)
		findings->array_count--; /* it has no end, and the parser will see that */
	findings->is_ascii = (reader.high_bits & HIGH_BITS) == 0;
	end_stretch(&reader);
	return NULL;
}

/* True when so many parts, of a document of that length, would take too much memory. */
bool
flex_lexical_is_costly(int64 parts, size_t length)
{
	return parts * PART_BYTES > TREE_BYTES + TREE_TIMES * (int64) length;
}

/* Have \ufffd stand for each escape of a document without complaints that cannot be kept. */
void
flex_lexical_replace(char *bytes, size_t length)
{
	Reader reader = {.at = bytes, .end = bytes + length, .copy = bytes, .begin = bytes};

	while (reader.at < reader.end)
	{
		const char *start = reader.at;

		(void) read_word(&reader);
		if (reader.at == start)
			reader.at++;
	}
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

		reader.is_long = false;
		(void) read_word(&reader);
		if (reader.at == start)
			reader.at++;
		appendBinaryStringInfo(wide, start, reader.at - start);
		if (reader.is_long)
			appendStringInfoString(wide, "E0");
	}
}
