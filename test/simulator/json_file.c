/*
 * json_file.c
 *	  Reads JSON from files that a person wrote: what is wrong is told with
 *	  the line.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "json_file.h"
#include "text.h"

/* Reads all of a file; false with errno if that is not possible. */
static bool
read_text(const char *name, Text *text)
{
	FILE *file = fopen(name, "r");
	char block[65536];
	size_t length;
	bool done;

	if (file == NULL)
		return false;
	while ((length = fread(block, 1, sizeof(block), file)) > 0)
		text_add(text, block, length);
	done = ferror(file) == 0;
	fclose(file);
	return done;
}

/* The number of the line in which a byte is. */
static int
line_of(const Text *text, size_t byte)
{
	int line = 1;

	for (size_t i = 0; i < byte && i < text->length; i++)
		line += text->data[i] == '\n';
	return line;
}

/* Reads a file that holds an object; NULL, with a message, if it does not. */
json_object *
json_read_file(const char *name)
{
	json_tokener *tokener = json_tokener_new();
	Text text = {0};
	json_object *value = NULL;
	enum json_tokener_error error;

	text_reserve(&text, 1);
	text.data[0] = '\0';
	if (!read_text(name, &text))
		fprintf(stderr, "flex_simulator: could not read %s: %s\n", name, strerror(errno));
	else
	{
		value = json_tokener_parse_ex(tokener, text.data, (int) text.length + 1);
		error = json_tokener_get_error(tokener);
		if (error != json_tokener_success)
			fprintf(stderr, "flex_simulator: %s is not JSON: line %d: %s\n", name,
					line_of(&text, json_tokener_get_parse_end(tokener)), json_tokener_error_desc(error));
		else if (!json_object_is_type(value, json_type_object))
		{
			fprintf(stderr, "flex_simulator: %s does not hold a JSON object\n", name);
			json_object_put(value);
			value = NULL;
		}
	}
	json_tokener_free(tokener);
	text_free(&text);
	return value;
}
