/*
 * identifier.c
 *		The SID in an answer that may be bad everywhere else.
 *
 * What the service has made must not be lost because a member of its answer is of
 * another type, cannot be kept here, or was cut off.  So only the outermost object
 * is read, and of its members where each begins and ends.  One resource's SID must
 * not be taken for another's: a value counts if it stands whole in that object,
 * looks like a SID, and no other member of that name contradicts it; where marks
 * do not fit each other, reading ends.
 */
#include "postgres.h"

#include <ctype.h>

#include "miscadmin.h"

#include "answer/identifier.h"

#define MOST_BYTES 64 /* of an identifier */
#define SID_KIND 2    /* letters, and behind them so many digits */
#define SID_DIGITS 32
#define MOST_DEPTH 8192
#define PARTS_BETWEEN_INTERRUPTS 1024

typedef struct Scanner
{
	const char *at;
	const char *end;
	uint32 parts;                  /* passed so far */
	int depth;                     /* of the brackets that are open within a value */
	uint8 objects[MOST_DEPTH / 8]; /* a bit for each of them: is it a brace? */
} Scanner;

/* Step over blanks; returns the byte that comes then, '\0' at the end. */
static char
next_mark(Scanner *scanner)
{
	while (scanner->at < scanner->end && memchr(" \t\r\n", *scanner->at, 4) != NULL)
		scanner->at++;
	return scanner->at < scanner->end ? *scanner->at : '\0';
}

/* Step over a string, at whose first quote the scanner is; false when it has no end. */
static bool
skip_string(Scanner *scanner)
{
	for (scanner->at++; scanner->at < scanner->end; scanner->at++)
	{
		if (*scanner->at == '"')
		{
			scanner->at++;
			return true;
		}
		if (*scanner->at == '\\')
			scanner->at++;
	}
	return false;
}

/* Step over a bracket that opens; false when there are too many. */
static bool
open_bracket(Scanner *scanner)
{
	uint8 bit = 1 << (scanner->depth % 8);

	if (scanner->depth == MOST_DEPTH)
		return false;
	if (*scanner->at++ == '{')
		scanner->objects[scanner->depth / 8] |= bit;
	else
		scanner->objects[scanner->depth / 8] &= ~bit;
	scanner->depth++;
	return true;
}

/* Step over a bracket that closes; false when it is not the one that was opened last. */
static bool
close_bracket(Scanner *scanner)
{
	bool is_object;

	if (scanner->depth == 0)
		return false;
	scanner->depth--;
	is_object = (scanner->objects[scanner->depth / 8] >> (scanner->depth % 8)) & 1;
	return *scanner->at++ == (is_object ? '}' : ']');
}

/* Step over one mark or word within a value; false when it cannot stand there. */
static bool
skip_part(Scanner *scanner)
{
	switch (next_mark(scanner))
	{
		case '\0':
			return false;
		case '"':
			return skip_string(scanner);
		case '{':
		case '[':
			return open_bracket(scanner);
		case '}':
		case ']':
			return close_bracket(scanner);
		case ',':
		case ':':
			scanner->at++;
			return scanner->depth > 0;
		default:
			/* a number, a literal, or what stands in the place of one */
			while (scanner->at < scanner->end && memchr(" \t\r\n\",:[]{}", *scanner->at, 11) == NULL)
				scanner->at++;
			return true;
	}
}

/* Step over a value of any kind; false when it does not end as it should. */
static bool
skip_value(Scanner *scanner)
{
	scanner->depth = 0;
	do
	{
		if (++scanner->parts % PARTS_BETWEEN_INTERRUPTS == 0)
			CHECK_FOR_INTERRUPTS();
		if (!skip_part(scanner))
			return false;
	} while (scanner->depth > 0);
	return true;
}

/* True for a SID, such as CH and 32 hexadecimal digits: it names what the service has made, and says nothing of it. */
bool
flex_is_sid(const char *text, size_t length)
{
	if (length != SID_KIND + SID_DIGITS)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		if (i < SID_KIND ? text[i] < 'A' || text[i] > 'Z'
						 : strchr("0123456789abcdef", text[i]) == NULL || text[i] == '\0')
			return false;
	}
	return true;
}

/* The identifier that a value, quotes included, is; NULL: it is none. */
static char *
identifier_of(const char *value, size_t length)
{
	if (length < 3 || length > MOST_BYTES + 2 || value[0] != '"')
		return NULL;
	for (size_t i = 1; i < length - 1; i++)
	{
		if (IS_HIGHBIT_SET(value[i]) || (!isalnum((unsigned char) value[i]) && value[i] != '-' && value[i] != '_'))
			return NULL;
	}
	return pnstrdup(value + 1, length - 2);
}

/* A part of the document. */
typedef struct Stretch
{
	const char *begin;
	size_t length;
} Stretch;

static bool
is_same(Stretch one, Stretch other)
{
	return one.length == other.length && memcmp(one.begin, other.begin, one.length) == 0;
}

/* Read a member, quotes and brackets included; false when it does not end as it should. */
static bool
read_member(Scanner *scanner, Stretch *name, Stretch *value)
{
	if (next_mark(scanner) != '"')
		return false;
	name->begin = scanner->at;
	if (!skip_string(scanner))
		return false;
	name->length = scanner->at - name->begin;
	if (next_mark(scanner) != ':')
		return false;
	scanner->at++;
	(void) next_mark(scanner);
	value->begin = scanner->at;
	if (!skip_value(scanner))
		return false;
	value->length = scanner->at - value->begin;
	return strchr(",}", next_mark(scanner)) != NULL; /* or at the end */
}

/*
 * The identifier that an answer gives in a member of its outermost object, in the
 * current context; NULL when it gives none, or not just one.  Serves interrupts: a
 * caller with an error in hand that a cancel must not displace holds them.
 */
char *
flex_identifier_find(const char *bytes, size_t length, const char *member)
{
	Scanner scanner = {.at = bytes, .end = bytes + length};
	char *quoted = psprintf("\"%s\"", member);
	Stretch wanted = {.begin = quoted, .length = strlen(quoted)};
	Stretch found = {0};
	Stretch name;
	Stretch value;

	if (next_mark(&scanner) != '{')
		return NULL;
	do
	{
		scanner.at++;
		if (!read_member(&scanner, &name, &value))
			break;
		if (!is_same(name, wanted))
			continue;
		if (found.begin != NULL && !is_same(value, found))
			return NULL;
		found = value;
	} while (next_mark(&scanner) == ',');
	return found.begin == NULL ? NULL : identifier_of(found.begin, found.length);
}
