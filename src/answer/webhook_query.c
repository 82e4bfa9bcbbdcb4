/*
 * webhook_query.c
 *		The query of a webhook's URL, taken apart and written anew.
 *
 * Some of the service's back ends sign a query whose values they have escaped
 * themselves.  The official Node client (6.2.0) tries, after all other forms of
 * a URL, the one that Node's module querystring makes of its query; this is that
 * module's way, to the letter: names that are numbers come first, the values of
 * one name stand together, and of 1,000 pairs and more the first count.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "answer/webhook_query.h"

#define MOST_PAIRS 1000
#define NULL_BYTE '\xFF' /* stands for a decoded null byte: no character of UTF-8 has it */

/* A name and a value, decoded: bytes that need not be UTF-8 have become U+FFFD. */
typedef struct Pair
{
	char *name;
	char *value;
	int64 index;  /* of a name that is one, in Node's sense; else -1 */
	int position; /* of the first pair with this name */
} Pair;

/*
 * Length of a character of UTF-8 at text, or, negative, of the bytes that stand
 * for one that is broken: those that a longer text could go on from.
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

/* The text with U+FFFD for what is not UTF-8. */
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

/* The value of a hexadecimal digit, -1 for another character. */
static int
digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = pg_tolower((unsigned char) c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Append a byte that was encoded; one that UTF-8 never has is broken by itself. */
static void
append_byte(StringInfo to, char byte)
{
	if (byte == NULL_BYTE)
		appendStringInfoString(to, "\xEF\xBF\xBD");
	else
		appendStringInfoChar(to, byte == '\0' ? NULL_BYTE : byte);
}

/* The text of so many bytes of a query: a plus is a blank, %XX a byte, and all else stands for itself. */
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
	return repaired(result.data);
}

/* The number that a name is, as Node has array indexes: digits without leading zeros, up to 4294967294. */
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

/* Take a pair of so many bytes apart. */
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

/* Read the pairs of a query, at most so many as there is room for; returns their number. */
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

/* Order of two pairs by their names, then as they came. */
static int
compare_names(const void *a, const void *b)
{
	const Pair *one = a;
	const Pair *other = b;
	int order = strcmp(one->name, other->name);

	return order != 0 ? order : one->position - other->position;
}

/* Order of two pairs as Node writes them: numbers first, all others as their names came first. */
static int
compare_places(const void *a, const void *b)
{
	const Pair *one = a;
	const Pair *other = b;

	if (one->index != other->index)
		return one->index < 0 ? 1 : other->index < 0 ? -1 : one->index < other->index ? -1 : 1;
	return one->position - other->position;
}

/* Bring pairs into the order in which Node writes them. */
static void
arrange(Pair *pairs, int count)
{
	int *sequence = palloc(sizeof(int) * Max(count, 1));

	for (int i = 0; i < count; i++)
		pairs[i].position = i;
	qsort(pairs, count, sizeof(Pair), compare_names);
	/* A pair's place is that of the first of its name; among those of one name, as they came. */
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

/* Append a text as Node escapes it in a query. */
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

/* The URL with the query that Node makes of what stands behind its first question mark; itself without one. */
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

/* The value of the first parameter of a name in the query of a URL, decoded; NULL where there is none. */
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
		at = text[length] == '&' ? text + length : NULL;
	}
	return NULL;
}
