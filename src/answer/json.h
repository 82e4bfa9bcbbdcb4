/*
 * json.h
 *		Values of a JSON document, as references to its text.
 */
#ifndef FLEX_JSON_H
#define FLEX_JSON_H

#include "utils/numeric.h"

#include "answer/json_scan.h"

extern const char *flex_json_check(const char *bytes, size_t length, JsonValue *root);
extern const char *flex_json_finish_check(JsonScanner *scanner);

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
