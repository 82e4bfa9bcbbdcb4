/*
 * json_text.h
 *	  Strict reading and compact writing of JSON, on json-c.
 */
#ifndef SIMULATOR_JSON_TEXT_H
#define SIMULATOR_JSON_TEXT_H

#include <json-c/json.h>
#include <stdbool.h>

#include "text.h"

extern bool json_read(const char *data, size_t length, json_object **value);
extern json_object *json_reread(const char *data, size_t length);
extern void json_write(Text *text, json_object *value);
extern json_object *json_member(json_object *object, const char *name);
extern const char *json_text_member(json_object *object, const char *name);
extern int64_t json_integer_member(json_object *object, const char *name, int64_t otherwise);
extern bool json_contains(json_object *value, const char *name, const char *wanted, bool *seen);

#endif
