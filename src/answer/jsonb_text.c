/*
 * jsonb_text.c
 *		How long the text of jsonb is.
 *
 * A number such as 1e100000 takes some bytes, and its text a hundred thousand: a value
 * of a few kilobytes may have more text than the server can print, and then no dump of
 * its table can be made.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/fmgrprotos.h"

#include "answer/jsonb_text.h"

#define SMALL 2048    /* a value of so many bytes has at most 32 MB of text */
#define PUNCTUATION 4 /* bytes around a value, at most: two quotes, and ", " or ": " */

/* Bytes of a string's text, escapes included. */
static size_t
string_length(const char *text, int length)
{
	size_t total = length;

	for (int i = 0; i < length; i++)
	{
		if ((unsigned char) text[i] < ' ')
			total += 5;
		else if (text[i] == '"' || text[i] == '\\')
			total++;
	}
	return total;
}

/* Bytes of a number's text. */
static size_t
number_length(Numeric number)
{
	char *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	size_t length = strlen(text);

	pfree(text);
	return length;
}

/* True when a value's text is longer than so many bytes; it is looked at no further than that. */
bool
flex_jsonb_text_exceeds(Jsonb *value, size_t most)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue part;
	size_t total = 0;

	if (VARSIZE(value) <= SMALL && most >= 32 * 1024 * 1024)
		return false;
	iterator = JsonbIteratorInit(&value->root);
	while (total <= most && (token = JsonbIteratorNext(&iterator, &part, false)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		total += PUNCTUATION;
		if (token != WJB_KEY && token != WJB_VALUE && token != WJB_ELEM)
			continue;
		if (part.type == jbvString)
			total += string_length(part.val.string.val, part.val.string.len);
		else if (part.type == jbvNumeric)
			total += number_length(part.val.numeric);
	}
	return total > most;
}
