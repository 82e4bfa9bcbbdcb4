/*
 * identifier.c
 *		Finds the identifier in an answer that may be invalid otherwise.
 *
 * If the service has created a resource, its identifier (SID) must not be lost because some
 * member of the answer has an unexpected type, cannot be stored, or is truncated.  Therefore
 * this parser is lenient: it only finds where the members of the outermost object begin
 * and end.
 *
 * It must not return the identifier of another resource.  So the member has to be complete
 * and in the outermost object, its value has to look like an identifier, and there may be no
 * other member of the name with another value.  At mismatched brackets parsing ends.
 */
#include "postgres.h"

#include <ctype.h>

#include "miscadmin.h"

#include "answer/identifier.h"

#define MOST_BYTES 64 /* of an identifier */
#define SID_KIND 2    /* letters at the beginning of a SID */
#define SID_DIGITS 32 /* hexadecimal digits after them */
#define MOST_DEPTH 8192
#define PARTS_BETWEEN_INTERRUPTS 1024

/* A position in the document. */
typedef struct Scanner
{
	const char *at;
	const char *end;
	uint32 parts;                  /* number of parts skipped so far, to serve interrupts */
	int depth;                     /* number of open brackets in the current value */
	uint8 objects[MOST_DEPTH / 8]; /* a bit for each open bracket: true for a brace */
} Scanner;

/* Skip whitespace, and return the byte after it; '\0' at the end. */
static char
next_mark(Scanner *scanner)
{
	while (scanner->at < scanner->end && memchr(" \t\r\n", *scanner->at, 4) != NULL)
		scanner->at++;
	return scanner->at < scanner->end ? *scanner->at : '\0';
}

/* Skip a string, at whose first quote the scanner is.  Return false if it is truncated. */
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

/* Skip an opening bracket or brace.  Return false if too many are open. */
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

/* Skip a closing bracket or brace.  Return false if it does not match. */
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

/* Skip one token of a value.  Return false if it cannot occur there. */
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
			/* a number or a literal, valid or not */
			while (scanner->at < scanner->end && memchr(" \t\r\n\",:[]{}", *scanner->at, 11) == NULL)
				scanner->at++;
			return true;
	}
}

/* Skip a value of any kind.  Return false if it is invalid or truncated. */
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

/* Return true for a SID: two letters such as CH, and 32 hexadecimal digits.  It contains no personal data. */
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

/* Return the identifier that a value is, given with its quotes; NULL if it does not look like one. */
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

/* A piece of the document. */
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

/* Read a member; name and value include quotes and brackets.  Return false if it is invalid or truncated. */
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
	return strchr(",}", next_mark(scanner)) != NULL; /* true also at the end, for '\0' */
}

/*
 * Return the identifier in a member of an answer's outermost object, palloc'd; NULL if there
 * is none, or there are several.  Interrupts are served: a caller that is reporting an error,
 * which a cancel must not replace, has to hold them.
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
