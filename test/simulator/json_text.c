/*
 * json_text.c
 *	  Strict reading and compact writing of JSON, on json-c, and the lookups
 *	  that the rest of the simulator makes in JSON values.
 */
#include <string.h>

#include "json_text.h"

/* How deep a body may nest; deeper ones are refused as the service would. */
#define MAX_DEPTH 128

/* From 0.17 on it also refuses what is JSON: long integers, in 0.17 and 0.18 all but ASCII. */
#if JSON_C_VERSION_NUM < (17 << 8)
#define STRICT_MODE JSON_TOKENER_STRICT
#else
#define STRICT_MODE 0
#endif

/* Parses all of the bytes with the given tokener flags. */
static bool
parse(const char *data, size_t length, int flags, json_object **value)
{
	json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	enum json_tokener_error error;

	json_tokener_set_flags(tokener, flags);
	/* The NUL behind the bytes tells json-c that a bare number has ended. */
	*value = json_tokener_parse_ex(tokener, data, (int) length + 1);
	error = json_tokener_get_error(tokener);
	json_tokener_free(tokener);
	if (error == json_tokener_success)
		return true;
	json_object_put(*value);
	*value = NULL;
	return false;
}

/*
 * Reads JSON that somebody sent. The bytes must be followed by a NUL. The
 * caller owns the value, which is NULL for JSON's null.
 */
bool
json_read(const char *data, size_t length, json_object **value)
{
	*value = NULL;
	if (length == 0 || memchr(data, '\0', length) != NULL)
		return false;
	return parse(data, length, STRICT_MODE | JSON_TOKENER_VALIDATE_UTF8, value);
}

/* Reads JSON that the simulator wrote itself, marks for the base URL included. */
json_object *
json_reread(const char *data, size_t length)
{
	json_object *value;

	return parse(data, length, STRICT_MODE, &value) ? value : NULL;
}

/* Appends a value in its most compact form. */
void
json_write(Text *text, json_object *value)
{
	size_t length;
	const char *data =
		json_object_to_json_string_length(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);

	text_add(text, data, length);
}

/* The member of that name, or NULL; still owned by the object. */
json_object *
json_member(json_object *object, const char *name)
{
	json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, name, &value);
	return value;
}

/* The string under that name, or NULL. */
const char *
json_text_member(json_object *object, const char *name)
{
	json_object *value = json_member(object, name);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

/* The integer under that name, or what to take otherwise. */
int64_t
json_integer_member(json_object *object, const char *name, int64_t otherwise)
{
	json_object *value = json_member(object, name);

	return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : otherwise;
}

/*
 * Whether a member of that name, at any depth, has the wanted value. Sets
 * *seen when there is such a member at all.
 */
bool
json_contains(json_object *value, const char *name, const char *wanted, bool *seen)
{
	if (json_object_is_type(value, json_type_array))
	{
		for (size_t i = 0; i < json_object_array_length(value); i++)
			if (json_contains(json_object_array_get_idx(value, i), name, wanted, seen))
				return true;
		return false;
	}
	if (!json_object_is_type(value, json_type_object))
		return false;
	json_object_object_foreach(value, key, member)
	{
		if (strcmp(key, name) == 0 && !json_object_is_type(member, json_type_object))
		{
			*seen = true;
			if (member != NULL && strcmp(json_object_get_string(member), wanted) == 0)
				return true;
		}
		else if (json_contains(member, name, wanted, seen))
			return true;
	}
	return false;
}
