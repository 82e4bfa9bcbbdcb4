/*
 * json_scan.h
 *		Scans a JSON document token by token.
 */
#ifndef FLEX_JSON_SCAN_H
#define FLEX_JSON_SCAN_H

#include "mb/pg_wchar.h"

/* A document with more nested arrays and objects is refused. */
#define FLEX_MOST_DEPTH 128

/* The kinds of tokens.  Those up to JSON_OBJECT are values, and before JSON_ARRAY scalars, which code relies on. */
typedef enum JsonToken
{
	JSON_NULL,
	JSON_BOOLEAN,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,  /* the beginning of an array */
	JSON_OBJECT, /* the beginning of an object */
	JSON_NAME,   /* the name of a member, whose value follows */
	JSON_END,    /* the end of the innermost array or object */
	JSON_STOP    /* the end of the document, or a complaint */
} JsonToken;

/*
 * A value or a member's name, as a reference to a piece of the document, without the quotes of
 * a string.  {0} is null, and represents a value that is missing.
 */
typedef struct JsonValue
{
	JsonToken kind;
	bool is_escaped;  /* a string: it contains escapes */
	bool is_integer;  /* a number: it has neither fraction nor exponent */
	const char *text; /* not null-terminated */
	size_t length;
	int64 count; /* of the elements of an array or the members of an object */
} JsonValue;

typedef enum JsonExpectation
{
	EXPECT_VALUE,
	EXPECT_FIRST_VALUE, /* or the array's end */
	EXPECT_NAME,
	EXPECT_FIRST_NAME, /* or the object's end */
	EXPECT_REST,       /* a comma, or the end of the array, object or document */
	EXPECT_NOTHING     /* there is a complaint */
} JsonExpectation;

typedef struct JsonScanner
{
	const char *begin;
	const char *at;
	const char *end;
	const char *pause; /* interrupts are served when "at" has reached this */
	JsonExpectation expects;
	int depth;                            /* number of open arrays and objects */
	uint64 objects[FLEX_MOST_DEPTH / 64]; /* a bit for each of them: true for an object */
	uint64 high_bits;                     /* OR of the bytes in strings: tells whether any is not ASCII */
	const char *complaint;                /* what is wrong, as the end of a sentence that begins with "The body" */
	const char *unrepresentable;          /* the same, for an escape of a character that PostgreSQL cannot store */
	JsonValue token;                      /* the last value or name; length and count of an array or object are unset */
} JsonScanner;

extern void flex_json_begin(JsonScanner *scanner, const char *bytes, size_t length);
extern JsonToken flex_json_next(JsonScanner *scanner);
extern int64 flex_json_skip(JsonScanner *scanner);
extern const char *flex_json_finish(JsonScanner *scanner);
extern const char *flex_json_read_code(const char **at, const char *end, pg_wchar *code);

#endif /* FLEX_JSON_SCAN_H */
