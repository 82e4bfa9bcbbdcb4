/*
 * json.c
 *		Bytes become a tree of JSON values: the only room with json-c.
 *
 * Only what RFC 8259 calls JSON is taken, no deeper than FLEX_MOST_DEPTH, and only in
 * valid UTF-8.  A document is parsed whole, or a long array of it in slices: a
 * small tree that is gone before the next one is made stays in the processor's
 * caches.
 *
 * json-c keeps the digits of a fraction but not of an integer beyond 64 bits: a
 * document that has one is read with "E0" behind each long integer, which
 * changes no value and keeps all digits.
 */
#include "postgres.h"

#include <errno.h>
#include <json-c/json.h>

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "encoding.h"
#include "json.h"

#define KEPT_DOCUMENT_BYTES (1024 * 1024)

struct JsonDocument
{
	json_tokener *tokener;
	json_object *root;
	size_t longest; /* bytes that the tokener has been given at once */
	MemoryContextCallback release;
};

/* A tokener for the next document: making one costs as much as a small document. */
static json_tokener *spare_tokener;

static void
put_tokener(json_tokener *tokener, size_t longest)
{
	/* It keeps room for the longest string that it has seen. */
	if (spare_tokener == NULL && longest <= KEPT_DOCUMENT_BYTES)
	{
		json_tokener_reset(tokener);
		spare_tokener = tokener;
	}
	else
		json_tokener_free(tokener);
}

/*
 * A tokener that takes what our own checks leave: they see to the encoding and
 * to the words.  Raises an error when memory is out.
 */
static json_tokener *
get_tokener(void)
{
	json_tokener *tokener = spare_tokener;

	spare_tokener = NULL;
	if (tokener == NULL)
		tokener = json_tokener_new_ex(FLEX_MOST_DEPTH);
	if (tokener == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return tokener;
}

/* Give json-c's memory back; the document's context calls it at its end. */
static void
release_document(void *argument)
{
	JsonDocument *document = argument;

	json_object_put(document->root);
	if (document->tokener != NULL)
		put_tokener(document->tokener, document->longest);
	document->root = NULL;
	document->tokener = NULL;
}

/* Begin a document in the current memory context. */
JsonDocument *
flex_json_begin(void)
{
	JsonDocument *document = palloc0(sizeof(JsonDocument));

	document->release.func = release_document;
	document->release.arg = document;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &document->release);
	document->tokener = get_tokener();
	return document;
}

/* What the parser says at the end of the bytes, as the end of a sentence; NULL: a value. */
static const char *
complaint(json_tokener *tokener)
{
	switch (json_tokener_get_error(tokener))
	{
		case json_tokener_success:
			return NULL;
		case json_tokener_continue:
			return "ends too early";
		case json_tokener_error_depth:
			return "is nested too deep";
		default:
			return "is not valid JSON";
	}
}

/* Give the parser some bytes more, unless it has come to an end. */
static void
feed(JsonDocument *document, const char *bytes, size_t length)
{
	document->longest = Max(document->longest, length);
	if (json_tokener_get_error(document->tokener) == json_tokener_continue)
		document->root = json_tokener_parse_ex(document->tokener, bytes, length);
}

/* Begin anew, with the first bytes. */
static void
begin_value(JsonDocument *document, const char *bytes, size_t length)
{
	json_object_put(document->root);
	json_tokener_reset(document->tokener);
	document->longest = Max(document->longest, length);
	document->root = json_tokener_parse_ex(document->tokener, bytes, length);
}

/* True when there is nothing but blanks. */
static bool
is_blank(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
		at++;
	return at == end;
}

/* Parse a document that has passed flex_json_check().  Returns a complaint, or NULL. */
const char *
flex_json_parse(JsonDocument *document, const char *bytes, size_t length)
{
	size_t used;
	const char *wrong;

	begin_value(document, bytes, length);
	used = json_tokener_get_parse_end(document->tokener);
	/* A number that stands alone waits for its end. */
	feed(document, "\n", 1);
	wrong = complaint(document->tokener);
	if (wrong == NULL && !is_blank(bytes + Min(used, length), bytes + length))
		return "has something after its end";
	return wrong;
}

/*
 * Parse elements of an array that have commas between them but no brackets
 * around: the root becomes an array of them.  Returns a complaint, or NULL.
 */
const char *
flex_json_parse_elements(JsonDocument *document, const char *bytes, size_t length)
{
	begin_value(document, "[", 1);
	feed(document, bytes, length);
	feed(document, "]", 1);
	return complaint(document->tokener);
}

/*
 * What to say of escapes that cannot be kept: nothing where they may be replaced,
 * which is done in a copy of the document.
 */
static const char *
replace_unrepresentable(const char **bytes, size_t length, LexicalFindings *findings)
{
	char *copy;

	if (flex_text_stand_in() == NULL)
		return findings->unrepresentable;
	copy = palloc_extended(length, MCXT_ALLOC_HUGE);
	memcpy(copy, *bytes, length);
	flex_lexical_replace(copy, length);
	*bytes = copy;
	return flex_lexical_complaint(copy, length, findings);
}

/*
 * Check all of a document but the order of its words: *bytes and *length become
 * those to parse.  Returns NULL when it is good, or what is wrong with it: the
 * end of a sentence that begins "The body".
 */
const char *
flex_json_check(const char **bytes, size_t *length, LexicalFindings *findings)
{
	const char *wrong;
	StringInfoData wide;

	if (*length == 0)
		return "is empty";
	wrong = flex_lexical_complaint(*bytes, *length, findings);
	if ((wrong != NULL || !findings->is_ascii) && !pg_verify_mbstr(PG_UTF8, *bytes, *length, true))
		return memchr(*bytes, '\0', *length) ? "has a zero byte" : "is not valid UTF-8";
	if (wrong == NULL && findings->unrepresentable != NULL)
		wrong = replace_unrepresentable(bytes, *length, findings);
	if (wrong != NULL || !findings->has_long_integers)
		return wrong;
	flex_lexical_widen(&wide, *bytes, *length);
	*bytes = wide.data;
	*length = wide.len;
	return flex_lexical_complaint(*bytes, *length, findings);
}

/* Check and parse a document.  Returns a complaint, or NULL. */
const char *
flex_json_read(JsonDocument *document, const char *bytes, size_t length)
{
	LexicalFindings findings;
	const char *wrong = flex_json_check(&bytes, &length, &findings);

	if (wrong == NULL && flex_lexical_is_costly(findings.parts, length))
		wrong = "has too many values";
	return wrong != NULL ? wrong : flex_json_parse(document, bytes, length);
}

/* The value that was parsed last, after there was no complaint. */
JsonNode *
flex_json_root(JsonDocument *document)
{
	return document->root;
}

JsonKind
flex_json_kind(JsonNode *node)
{
	switch (json_object_get_type(node))
	{
		case json_type_null:
			return JSON_NULL;
		case json_type_boolean:
			return JSON_BOOLEAN;
		case json_type_int:
		case json_type_double:
			return JSON_NUMBER;
		case json_type_string:
			return JSON_STRING;
		case json_type_array:
			return JSON_ARRAY;
		case json_type_object:
			return JSON_OBJECT;
	}
	pg_unreachable();
}

/* A member of an object, or NULL; anything but an object has none. */
JsonNode *
flex_json_member(JsonNode *object, const char *name)
{
	json_object *member = NULL;

	if (json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, name, &member);
	return member;
}

/*
 * The value of one of an object's members, by its place in the document: entry
 * NULL begins, and the entry returned leads on to the next; NULL ends.
 */
const JsonEntry *
flex_json_next_entry(JsonNode *object, const JsonEntry *entry)
{
	const struct lh_entry *next = entry != NULL ? ((const struct lh_entry *) entry)->next : NULL;

	if (entry == NULL && json_object_is_type(object, json_type_object))
		next = json_object_get_object(object)->head;
	return (const JsonEntry *) next;
}

const char *
flex_json_entry_name(const JsonEntry *entry)
{
	return ((const struct lh_entry *) entry)->k;
}

JsonNode *
flex_json_entry_value(const JsonEntry *entry)
{
	return unconstify(void *, ((const struct lh_entry *) entry)->v);
}

size_t
flex_json_count(JsonNode *array)
{
	return json_object_array_length(array);
}

JsonNode *
flex_json_element(JsonNode *array, size_t index)
{
	return json_object_array_get_idx(array, index);
}

bool
flex_json_boolean(JsonNode *node)
{
	return json_object_get_boolean(node);
}

/* A text that json-c has made, for which it may have found no memory. */
static const char *
checked(const char *text)
{
	if (text == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return text;
}

/* The value of a number without fraction that fits in 64 bits; else false. */
bool
flex_json_integer(JsonNode *node, int64 *value)
{
	const char *text;
	char *end;

	if (json_object_is_type(node, json_type_int))
	{
		*value = json_object_get_int64(node);
		return true;
	}
	text = checked(json_object_get_string(node));
	errno = 0;
	*value = strtoi64(text, &end, 10);
	return errno == 0 && end != text && strcmp(end, "E0") == 0;
}

double
flex_json_double(JsonNode *node)
{
	return json_object_get_double(node);
}

/* The characters of a string, in UTF-8; they live as long as the document. */
const char *
flex_json_string(JsonNode *node, int *length)
{
	*length = json_object_get_string_len(node);
	return json_object_get_string(node);
}

/* A value as JSON text, in UTF-8; it lives as long as the document. */
const char *
flex_json_text(JsonNode *node, int *length)
{
	size_t size;
	const char *text = checked(
		json_object_to_json_string_length(node, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size));

	*length = size;
	return text;
}

/*
 * A scalar as the service wrote it, in UTF-8: a long integer without what
 * widening has put behind it.
 */
const char *
flex_json_source(JsonNode *node, int *length)
{
	const char *text = flex_json_text(node, length);

	if (json_object_is_type(node, json_type_double) && *length > FLEX_LONG_DIGITS &&
		strspn(text, "-0123456789") == (size_t) *length - 2)
		*length -= 2;
	return text;
}
