/*
 * jsonb_text.c
 *		Bounds the length of jsonb as text.
 *
 * A number such as 1e100000 takes a few bytes, but its text has a hundred thousand.  So a
 * value of some kilobytes may have a text of more than 1 GB, which the server cannot output,
 * and then the table that contains it cannot be dumped.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/fmgrprotos.h"

#include "answer/jsonb_text.h"

#define SMALL 2048    /* the text of a value of this size has at most 32 MB */
#define PUNCTUATION 4 /* bytes around a value, at most: two quotes, and ", " or ": " */

/* Return the length of a string's text, with its escapes. */
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

/* Return the length of a number's text. */
static size_t
number_length(Numeric number)
{
	char *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	size_t length = strlen(text);

	pfree(text);
	return length;
}

/* Return true if the text of a value is longer than "most" bytes.  The rest of it is not examined then. */
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
