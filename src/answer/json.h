/*
 * json.h
 *		Values of a JSON document, as pieces of it.
 */
#ifndef FLEX_JSON_H
#define FLEX_JSON_H

#include "utils/numeric.h"

#include "answer/json_scan.h"

#define FLEX_JSON_NOTED 4

/* A document that has been checked, and the first members of the object that it is. */
typedef struct JsonDocument
{
	JsonValue root;
	int64 count; /* of its members; 0 where it is no object */
	JsonValue names[FLEX_JSON_NOTED];
	JsonValue values[FLEX_JSON_NOTED];
} JsonDocument;

extern const char *flex_json_check(const char *bytes, size_t length, JsonValue *root);
extern const char *flex_json_check_members(const char *bytes, size_t length, JsonDocument *document);
extern JsonValue flex_json_document_member(const JsonDocument *document, const char *name);

extern void flex_json_enter(JsonScanner *scanner, const JsonValue *container);
extern bool flex_json_next_element(JsonScanner *scanner, JsonValue *element);
extern bool flex_json_next_member(JsonScanner *scanner, JsonValue *name, JsonValue *value);
extern JsonValue flex_json_member(const JsonValue *object, const char *name);
extern bool flex_json_is_named(const JsonValue *name, const char *expected, size_t length);

extern bool flex_json_boolean(const JsonValue *value);
extern bool flex_json_integer(const JsonValue *value, int64 *result);
extern double flex_json_double(const JsonValue *value);
extern Numeric flex_json_numeric(const JsonValue *value);
extern const char *flex_json_string(const JsonValue *value, size_t *length);
extern size_t flex_json_compact(char *to, const char *json, size_t length);
extern const char *flex_json_source(const JsonValue *value, size_t *length);

#endif /* FLEX_JSON_H */
