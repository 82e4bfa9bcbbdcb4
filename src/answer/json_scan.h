/*
 * json_scan.h
 *		A JSON document, token by token.
 */
#ifndef FLEX_JSON_SCAN_H
#define FLEX_JSON_SCAN_H

#include "mb/pg_wchar.h"

/* Arrays and objects within each other that are read: what is deeper is refused. */
#define FLEX_MOST_DEPTH 128

/* What comes next in a document: first the kinds of values. */
typedef enum JsonToken
{
	JSON_NULL,
	JSON_BOOLEAN,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,  /* begins */
	JSON_OBJECT, /* begins */
	JSON_NAME,   /* of a member, whose value comes next */
	JSON_END,    /* of the array or object that was begun last */
	JSON_STOP    /* the document has ended, or there is a complaint */
} JsonToken;

/*
 * A value, or a member's name: a piece of the document, without the quotes of a
 * string.  {0} stands for what is not there, and is null.
 */
typedef struct JsonValue
{
	JsonToken kind;
	bool is_escaped; /* a string that has backslashes */
	bool is_integer; /* a number without fraction and exponent */
	const char *text;
	size_t length;
	int64 count; /* of an array's elements or an object's members */
} JsonValue;

typedef enum JsonExpectation
{
	EXPECT_VALUE,
	EXPECT_FIRST_VALUE, /* or the array's end */
	EXPECT_NAME,
	EXPECT_FIRST_NAME, /* or the object's end */
	EXPECT_REST,       /* a comma, or the end of what the value is in */
	EXPECT_NOTHING     /* there is a complaint */
} JsonExpectation;

typedef struct JsonScanner
{
	const char *begin;
	const char *at;
	const char *end;
	const char *pause; /* interrupts are served when the scanner has come so far */
	JsonExpectation expects;
	int depth;
	uint64 objects[FLEX_MOST_DEPTH / 64]; /* a bit for each level: is it an object? */
	uint64 high_bits;                     /* of bytes in strings */
	const char *complaint;                /* what is wrong, as the end of a sentence that begins "The body" */
	const char *unrepresentable;          /* likewise, of an escape that stands for nothing that can be kept */
	JsonValue token;                      /* the last value or name; an array's or object's length is not known yet */
} JsonScanner;

extern void flex_json_begin(JsonScanner *scanner, const char *bytes, size_t length);
extern JsonToken flex_json_next(JsonScanner *scanner);
extern int64 flex_json_skip(JsonScanner *scanner);
extern const char *flex_json_finish(JsonScanner *scanner);
extern const char *flex_json_read_code(const char **at, const char *end, pg_wchar *code);

#endif /* FLEX_JSON_SCAN_H */
