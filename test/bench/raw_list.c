/*
 * raw_list.c
 *	  The baseline for lists: fetch page after page and parse each.
 *
 *	  raw_list [-H HEADER]... URL ROWS
 *
 * Ends with an error unless the pages have so many rows together.  The rows'
 * members are not read: the baseline is what no client can do without.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raw.h"

/* A member that must be there. */
static json_object *
member(json_object *object, const char *name)
{
	json_object *value;

	if (!json_object_object_get_ex(object, name, &value))
	{
		fprintf(stderr, "the page has no member \"%s\"\n", name);
		exit(1);
	}
	return value;
}

/* Parse a page: adds its rows to *rows and returns the next one's URL, malloc'd, or NULL. */
static char *
read_page(json_tokener *tokener, const RawBody *body, long *rows)
{
	json_object *page;
	json_object *meta;
	const char *next;
	char *copy;

	page = raw_parse(tokener, body);
	meta = member(page, "meta");
	*rows += (long) json_object_array_length(member(page, json_object_get_string(member(meta, "key"))));
	next = json_object_get_string(member(meta, "next_page_url"));
	copy = next != NULL ? strdup(next) : NULL;
	json_object_put(page);
	return copy;
}

int
main(int argc, char **argv)
{
	RawClient client;
	char *url;
	long rows = 0;
	RawCost start;

	raw_open(&client, argc, argv);
	url = strdup(client.options.url);
	raw_get(client.handle, url, &client.body);
	start = raw_cost_now();
	while (url != NULL)
	{
		raw_get(client.handle, url, &client.body);
		free(url);
		url = read_page(client.tokener, &client.body, &rows);
	}
	if (rows != client.options.count)
	{
		fprintf(stderr, "%ld rows came, not %ld\n", rows, client.options.count);
		return 1;
	}
	raw_print_cost(start);
	return 0;
}
