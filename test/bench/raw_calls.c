/*
 * raw_calls.c
 *	  The floor for single calls: fetch a URL so many times and read its members.
 *
 *	  raw_calls [-H HEADER]... [-c CA_FILE] [-p] URL COUNT
 *
 * One request goes before, so that the connection stands when the clock starts.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "raw.h"

/* Parse the body and read each of its members; returns how many bytes they have. */
static size_t
read_members(json_tokener *tokener, const RawBody *body)
{
	size_t bytes = 0;
	json_object *object;

	json_tokener_reset(tokener);
	object = json_tokener_parse_ex(tokener, body->bytes, (int) body->length);
	if (!json_object_is_type(object, json_type_object))
	{
		fprintf(stderr, "the answer is no JSON object\n");
		exit(1);
	}
	json_object_object_foreach(object, name, member)
	{
		(void) name;
		if (json_object_is_type(member, json_type_string))
			bytes += (size_t) json_object_get_string_len(member);
	}
	json_object_put(object);
	return bytes;
}

int
main(int argc, char **argv)
{
	RawOptions options = raw_options(argc, argv);
	RawBody body = {0};
	CURL *handle = raw_handle(&options, &body);
	json_tokener *tokener = json_tokener_new();
	volatile size_t bytes = 0;
	RawCost start;

	raw_get(handle, options.url, &body);
	start = raw_cost_now();
	for (long i = 0; i < options.count; i++)
	{
		raw_get(handle, NULL, &body);
		bytes += read_members(tokener, &body);
	}
	raw_print_cost(start);
	return 0;
}
