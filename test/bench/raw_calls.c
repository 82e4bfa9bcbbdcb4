/*
 * raw_calls.c
 *	  The baseline for single calls: fetch a URL so many times and read its members.
 *
 *	  raw_calls [-H HEADER]... [-c CA_FILE] [-p] URL COUNT
 *
 * One request goes before, so that the connection stands when the clock starts.
 */
#include <json-c/json.h>
#include <stdio.h>

#include "raw.h"

/* Parse the body and read each of its members; returns how many bytes they have. */
static size_t
read_members(json_tokener *tokener, const RawBody *body)
{
	size_t bytes = 0;
	json_object *object = raw_parse(tokener, body);

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
	RawClient client;
	volatile size_t bytes = 0;
	RawCost start;

	raw_open(&client, argc, argv);
	raw_get(client.handle, client.options.url, &client.body);
	start = raw_cost_now();
	for (long i = 0; i < client.options.count; i++)
	{
		raw_get(client.handle, NULL, &client.body);
		bytes += read_members(client.tokener, &client.body);
	}
	raw_print_cost(start);
	return 0;
}
