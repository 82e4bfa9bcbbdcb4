/*
 * json.c
 *		Bytes become a tree of JSON values: the only room with json-c.
 *
 * A document can be fed while it arrives, so that most of the parsing is done
 * when its last byte is there.  Only what RFC 8259 calls JSON is taken, no
 * deeper than MAX_DEPTH, and only in valid UTF-8.
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

#include "json.h"
#include "lexical.h"

#define MAX_DEPTH 128
#define KEPT_DOCUMENT_BYTES (1024 * 1024)

struct JsonDocument
{
	json_tokener *tokener;
	json_object *root;
	size_t fed; /* bytes that the tokener has had */
	bool ended; /* the tokener has seen a whole value, or an error */
	MemoryContextCallback release;
};

/* A tokener for the next document: making one costs as much as a small document. */
static json_tokener *spare_tokener;

static void
put_tokener(json_tokener *tokener, size_t fed)
{
	/* It keeps room for the longest string that it has seen. */
	if (spare_tokener == NULL && fed <= KEPT_DOCUMENT_BYTES)
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
		tokener = json_tokener_new_ex(MAX_DEPTH);
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
		put_tokener(document->tokener, document->fed);
	document->root = NULL;
	document->tokener = NULL;
}

/* Begin again with nothing read.  Raises an error when memory is out. */
void
flex_json_restart(JsonDocument *document)
{
	release_document(document);
	document->fed = 0;
	document->ended = false;
	document->tokener = get_tokener();
}

/* Begin a document in the current memory context. */
JsonDocument *
flex_json_begin(void)
{
	JsonDocument *document = palloc0(sizeof(JsonDocument));

	document->release.func = release_document;
	document->release.arg = document;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &document->release);
	flex_json_restart(document);
	return document;
}

/*
 * Take in the bytes that came since the last call: bytes is the document from
 * its beginning, length how much of it there is.
 */
void
flex_json_feed(JsonDocument *document, const char *bytes, size_t length)
{
	if (document->ended || length <= document->fed)
		return;
	document->root = json_tokener_parse_ex(document->tokener, bytes + document->fed, length - document->fed);
	if (json_tokener_get_error(document->tokener) == json_tokener_continue)
	{
		document->fed = length;
		return;
	}
	document->fed += json_tokener_get_parse_end(document->tokener);
	document->ended = true;
}

/* What is wrong after all bytes were fed, or NULL; a sentence's end. */
static const char *
complaint(JsonDocument *document, const char *bytes, size_t length)
{
	enum json_tokener_error error = json_tokener_get_error(document->tokener);

	if (!document->ended)
		return "ends too early";
	if (error == json_tokener_error_depth)
		return "is nested too deep";
	if (error != json_tokener_success)
		return "is not valid JSON";
	for (size_t i = document->fed; i < length; i++)
	{
		if (strchr(" \t\r\n", bytes[i]) == NULL || bytes[i] == '\0')
			return "has something after its end";
	}
	return NULL;
}

/* Feed the whole, and an end to a number that stands alone. */
static const char *
read_whole(JsonDocument *document, const char *bytes, size_t length)
{
	flex_json_feed(document, bytes, length);
	if (!document->ended && length > 0)
	{
		document->root = json_tokener_parse_ex(document->tokener, "\n", 1);
		document->ended = json_tokener_get_error(document->tokener) != json_tokener_continue;
	}
	return complaint(document, bytes, length);
}

/*
 * End a document, given whole.  Returns NULL when it is good, or what is wrong
 * with it: the end of a sentence that begins "The body".
 */
const char *
flex_json_end(JsonDocument *document, const char *bytes, size_t length)
{
	const char *wrong;
	bool has_long_integers;
	StringInfoData wide;

	if (length == 0)
		return "is empty";
	if (!pg_verify_mbstr(PG_UTF8, bytes, length, true))
		return memchr(bytes, '\0', length) ? "has a zero byte" : "is not valid UTF-8";
	wrong = flex_lexical_complaint(bytes, length, &has_long_integers);
	if (wrong != NULL)
		return wrong;
	if (!has_long_integers)
		return read_whole(document, bytes, length);
	flex_lexical_widen(&wide, bytes, length);
	flex_json_restart(document);
	wrong = read_whole(document, wide.data, wide.len);
	pfree(wide.data);
	return wrong;
}

/* The document's value, after flex_json_end() had no complaint. */
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
	text = json_object_get_string(node);
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
	const char *text =
		json_object_to_json_string_length(node, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);

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
