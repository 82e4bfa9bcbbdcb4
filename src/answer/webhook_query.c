/*
 * webhook_query.c
 *		Parses the query of a webhook's URL, and rewrites it as Node.js does.
 *
 * Some of the service's back ends sign a URL whose query they have escaped themselves.
 * Therefore the official Node client (6.2.0) tries, after all other forms of the URL, also
 * the one with the query parsed and written again by Node's module querystring.  This file
 * reproduces that module exactly: parameters whose names are numbers come first, those of
 * the same name come together, and only the first 1000 pairs are used.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "answer/webhook_query.h"

#define MOST_PAIRS 1000
#define NULL_BYTE '\xFF' /* represents a decoded zero byte in a C string; UTF-8 does not contain it */

/* A parameter, decoded; U+FFFD has replaced what was not UTF-8. */
typedef struct Pair
{
	char *name;
	char *value;
	int64 index;  /* the name as a number, if JavaScript takes it for an array index; else -1 */
	int position; /* sort key among the pairs with index -1 */
} Pair;

/*
 * Return the length of the UTF-8 character at text.  If it is invalid, return the negative
 * length of its valid beginning (1 at least), for which decoders by the Unicode Standard put
 * one U+FFFD.
 */
static int
character_length(const unsigned char *text)
{
	unsigned char first = text[0];
	int length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
	unsigned char least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
	unsigned char most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;

	if (length == 0)
		return -1;
	for (int i = 1; i < length; i++)
	{
		if (text[i] < least || text[i] > most)
			return -i;
		least = 0x80;
		most = 0xBF;
	}
	return length;
}

/* Return a copy with U+FFFD in the place of what is not UTF-8. */
static char *
repaired(const char *text)
{
	StringInfoData result;

	initStringInfo(&result);
	while (*text)
	{
		int length = *text == NULL_BYTE ? 1 : character_length((const unsigned char *) text);

		if (length > 0)
			appendBinaryStringInfo(&result, text, length);
		else
			appendStringInfoString(&result, "\xEF\xBF\xBD");
		text += abs(length);
	}
	return result.data;
}

/* Return the value of a hexadecimal digit, or -1. */
static int
digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = pg_tolower((unsigned char) c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Append a byte that was percent-encoded.  The byte that would look like NULL_BYTE is invalid UTF-8 anyway. */
static void
append_byte(StringInfo to, char byte)
{
	if (byte == NULL_BYTE)
		appendStringInfoString(to, "\xEF\xBF\xBD");
	else
		appendStringInfoChar(to, byte == '\0' ? NULL_BYTE : byte);
}

/* Decode a part of a query: + is a space, %XX a byte, everything else stands for itself.  The result is palloc'd. */
static char *
decoded(const char *text, size_t length)
{
	StringInfoData result;

	initStringInfo(&result);
	for (size_t i = 0; i < length; i++)
	{
		int high = text[i] == '%' && i + 2 < length ? digit_value(text[i + 1]) : -1;
		int low = high >= 0 ? digit_value(text[i + 2]) : -1;

		if (low >= 0)
		{
			append_byte(&result, (char) (high << 4 | low));
			i += 2;
		}
		else
			appendStringInfoChar(&result, text[i] == '+' ? ' ' : text[i]);
	}
	text = repaired(result.data);
	pfree(result.data);
	return unconstify(char *, text);
}

/* Return a name as an array index of JavaScript: digits without leading zeros, up to 4294967294; else -1. */
static int64
index_of_name(const char *name)
{
	size_t length = strlen(name);
	int64 index;

	if (length == 0 || length > 10 || strspn(name, "0123456789") != length || (name[0] == '0' && length > 1))
		return -1;
	index = strtoll(name, NULL, 10);
	return index <= INT64CONST(4294967294) ? index : -1;
}

/* Parse a pair of the given length; its name and value are palloc'd. */
static Pair
pair_of(const char *text, size_t length)
{
	const char *equals = memchr(text, '=', length);
	size_t name_length = equals != NULL ? (size_t) (equals - text) : length;
	Pair pair;

	pair.name = decoded(text, name_length);
	pair.value = equals != NULL ? decoded(equals + 1, length - name_length - 1) : pstrdup("");
	pair.index = index_of_name(pair.name);
	pair.position = 0;
	return pair;
}

/* Parse the pairs of a query into an array of MOST_PAIRS, and return their number; further pairs are ignored. */
static int
read_pairs(const char *query, Pair *pairs)
{
	int count = 0;

	for (int seen = 0; seen < MOST_PAIRS; seen++)
	{
		size_t length = strcspn(query, "&");

		if (length > 0)
			pairs[count++] = pair_of(query, length);
		if (query[length] == '\0')
			break;
		query += length + 1;
	}
	return count;
}

/* qsort comparator: by name, then by position. */
static int
compare_names(const void *a, const void *b)
{
	const Pair *one = a;
	const Pair *other = b;
	int order = strcmp(one->name, other->name);

	return order != 0 ? order : one->position - other->position;
}

/* qsort comparator for the order in which Node writes pairs: numbers first, then by position. */
static int
compare_places(const void *a, const void *b)
{
	const Pair *one = a;
	const Pair *other = b;

	if (one->index != other->index)
		return one->index < 0 ? 1 : other->index < 0 ? -1 : one->index < other->index ? -1 : 1;
	return one->position - other->position;
}

/* Sort pairs into the order in which Node writes them, those of the same name together. */
static void
arrange(Pair *pairs, int count)
{
	int *sequence = palloc(sizeof(int) * Max(count, 1));

	for (int i = 0; i < count; i++)
		pairs[i].position = i;
	qsort(pairs, count, sizeof(Pair), compare_names);
	/* A name is sorted by where it came first; the pairs of one name keep their order. */
	for (int i = 0; i < count; i++)
		sequence[i] = i > 0 && strcmp(pairs[i].name, pairs[i - 1].name) == 0 ? sequence[i - 1] : pairs[i].position;
	for (int i = 0, rank = 0; i < count; i++)
	{
		rank = i > 0 && sequence[i] == sequence[i - 1] ? rank + 1 : 0;
		pairs[i].position = sequence[i] * MOST_PAIRS + rank;
	}
	qsort(pairs, count, sizeof(Pair), compare_places);
	pfree(sequence);
}

/* Append a text, escaped as Node does it in a query. */
static void
append_escaped(StringInfo to, const char *text)
{
	for (; *text; text++)
	{
		unsigned char c = (unsigned char) *text;

		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!'()*-._~", c) != NULL)
			appendStringInfoChar(to, (char) c);
		else
			appendStringInfo(to, "%%%02X", *text == NULL_BYTE ? 0 : c);
	}
}

/* Return the URL with its query (all after the first question mark) rewritten as Node does it; palloc'd. */
char *
flex_webhook_query_rewritten(const char *url)
{
	const char *mark = strchr(url, '?');
	Pair *pairs;
	int count;
	StringInfoData result;

	if (mark == NULL || mark[1] == '\0')
		return pstrdup(url);
	pairs = palloc(sizeof(Pair) * MOST_PAIRS);
	count = read_pairs(mark + 1, pairs);
	arrange(pairs, count);
	initStringInfo(&result);
	appendBinaryStringInfo(&result, url, mark + 1 - url);
	for (int i = 0; i < count; i++)
	{
		if (i > 0)
			appendStringInfoChar(&result, '&');
		append_escaped(&result, pairs[i].name);
		appendStringInfoChar(&result, '=');
		append_escaped(&result, pairs[i].value);
	}
	return result.data;
}

/* Return the decoded value of the first parameter of a name in the query of a URL, or NULL. */
char *
flex_webhook_query_value(const char *url, const char *name)
{
	const char *end = url + strcspn(url, "#");
	const char *at = memchr(url, '?', end - url);

	while (at != NULL)
	{
		const char *text = at + 1;
		size_t length = strcspn(text, "&#");
		Pair pair = pair_of(text, length);

		CHECK_FOR_INTERRUPTS();
		if (length > 0 && strcmp(pair.name, name) == 0)
			return pair.value;
		pfree(pair.name);
		pfree(pair.value);
		at = text[length] == '&' ? text + length : NULL;
	}
	return NULL;
}
