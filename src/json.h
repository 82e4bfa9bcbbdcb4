/*
 * json.h
 *		Bytes become a tree of JSON values.
 */
#ifndef FLEX_JSON_H
#define FLEX_JSON_H

#include "lexical.h"

/* A value of a document; NULL stands for null, and for what is not there. */
typedef struct json_object JsonNode;

/* A member of an object, on a walk through all of them. */
typedef struct JsonEntry JsonEntry;

/* A document being read; goes with the memory context it was begun in. */
typedef struct JsonDocument JsonDocument;

typedef enum JsonKind
{
	JSON_NULL,
	JSON_BOOLEAN,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
} JsonKind;

extern JsonDocument *flex_json_begin(void);
extern const char *flex_json_read(JsonDocument *document, const char *bytes, size_t length);
extern const char *flex_json_check(const char **bytes, size_t *length, LexicalFindings *findings);
extern const char *flex_json_parse(JsonDocument *document, const char *bytes, size_t length);
extern const char *flex_json_parse_elements(JsonDocument *document, const char *bytes, size_t length);
extern JsonNode *flex_json_root(JsonDocument *document);

extern JsonKind flex_json_kind(JsonNode *node);
extern JsonNode *flex_json_member(JsonNode *object, const char *name);
extern const JsonEntry *flex_json_next_entry(JsonNode *object, const JsonEntry *entry);
extern const char *flex_json_entry_name(const JsonEntry *entry);
extern JsonNode *flex_json_entry_value(const JsonEntry *entry);
extern size_t flex_json_count(JsonNode *array);
extern JsonNode *flex_json_element(JsonNode *array, size_t index);
extern bool flex_json_boolean(JsonNode *node);
extern bool flex_json_integer(JsonNode *node, int64 *value);
extern double flex_json_double(JsonNode *node);
extern const char *flex_json_string(JsonNode *node, int *length);
extern const char *flex_json_source(JsonNode *node, int *length);
extern const char *flex_json_text(JsonNode *node, int *length);

#endif /* FLEX_JSON_H */
