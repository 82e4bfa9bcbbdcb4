/*
 * facts.c
 *	  Reads operations.tsv, parameters.tsv and members.tsv, and derives the
 *	  routes from the operations' paths. What is not in the OpenAPI documents
 *	  stands in tables of the same form in folders of their own. The tables
 *	  stay in memory for good: everything points into their cells.
 */
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "text.h"
#include "tsv.h"

static Operation *operations;
static int operation_count;
static Schema *schemas;
static int schema_count;
static Route *routes;
static int route_count;

static const char *const type_names[] = {"string", "boolean", "integer", "number", "array", "any", "object", NULL};
static const char *const place_names[] = {"path", "query", "form", "header", "json", NULL};
static const char *const body_names[] = {"-", "form", "json", NULL};
static const char *const method_names[] = {"GET", "POST", "DELETE", NULL};

/* The place of a word in a list of words; 0 if it is not there. */
static int
word_number(const char *word, const char *const *words)
{
	for (int i = 0; word != NULL && words[i] != NULL; i++)
		if (strcmp(word, words[i]) == 0)
			return i;
	return 0;
}

/* PascalCase to snake_case, part by part: Integration.FlowSid, ChatServiceSid. */
char *
snake_case(const char *name)
{
	Text text = {0};

	for (const char *byte = name; *byte != '\0'; byte++)
	{
		char lower = (char) tolower((unsigned char) *byte);

		if (isupper((unsigned char) *byte) && byte > name && byte[-1] != '.')
			text_add(&text, "_", 1);
		text_add(&text, &lower, 1);
	}
	return text_take(&text);
}

/* Reads a pattern; one like ^CH[0-9a-fA-F]{32}$ is that of a SID. */
static bool
read_pattern(Pattern *pattern, const char *text)
{
	pattern->text = text;
	if (text == NULL)
		return true;
	if (text[0] == '^' && isupper((unsigned char) text[1]) && isupper((unsigned char) text[2]) &&
		strcmp(text + 3, "[0-9a-fA-F]{32}$") == 0)
	{
		memcpy(pattern->prefix, text + 1, 2);
		return true;
	}
	if (regcomp(&pattern->regex, text, REG_EXTENDED | REG_NOSUB) == 0)
		return true;
	fprintf(stderr, "flex_simulator: pattern %s is not a regular expression\n", text);
	return false;
}

/* Reads members.tsv; the rows of one schema stand together, in order. */
static void
read_members(const Table *table)
{
	schemas = must_resize(schemas, sizeof(Schema) * (size_t) (schema_count + table->rows + 1));
	for (int row = 0; row < table->rows; row++)
	{
		const char *name = table_cell(table, row, "schema");
		Schema *schema;
		Member *member;

		if (schema_count == 0 || strcmp(schemas[schema_count - 1].name, name) != 0)
			schemas[schema_count++] = (Schema){.name = name};
		schema = &schemas[schema_count - 1];
		schema->members = must_resize(schema->members, sizeof(Member) * (size_t) (schema->count + 1));
		member = &schema->members[schema->count++];
		member->name = table_cell(table, row, "name");
		member->type = (ValueType) word_number(table_cell(table, row, "type"), type_names);
		member->format = table_cell(table, row, "format");
		member->pattern = table_cell(table, row, "pattern");
		member->choices = table_cell(table, row, "enum");
	}
}

/* Reads the parameters of one operation. */
static bool
read_parameters(Operation *operation, const Table *table)
{
	operation->parameters = calloc((size_t) table->rows + 1, sizeof(Parameter));
	for (int row = 0; row < table->rows; row++)
	{
		const char *function = table_cell(table, row, "function");
		const char *format = table_cell(table, row, "format");
		const char *name = table_cell(table, row, "name");
		Parameter *parameter = &operation->parameters[operation->count];

		if (function == NULL || strcmp(function, operation->function) != 0)
			continue;
		operation->count++;
		parameter->name = name ? name : "body";
		parameter->member = snake_case(parameter->name);
		parameter->place = (Place) word_number(table_cell(table, row, "place"), place_names);
		parameter->type = (ValueType) word_number(table_cell(table, row, "type"), type_names);
		parameter->required = strcmp(table_cell(table, row, "required"), "t") == 0;
		parameter->choices = table_cell(table, row, "enum");
		parameter->uri = format != NULL && strcmp(format, "uri") == 0;
		if (!read_pattern(&parameter->pattern, table_cell(table, row, "pattern")))
			return false;
	}
	return true;
}

/* Reads operations.tsv, and for each operation its parameters. */
static bool
read_operations(const Table *table, const Table *parameters)
{
	operations = must_resize(operations, sizeof(Operation) * (size_t) (operation_count + table->rows + 1));
	for (int row = 0; row < table->rows; row++)
	{
		Operation *operation = &operations[operation_count];
		const char *schema = table_cell(table, row, "schema");

		*operation = (Operation){.number = operation_count++};
		operation->function = table_cell(table, row, "function");
		operation->path = table_cell(table, row, "path");
		operation->method = (Method) word_number(table_cell(table, row, "method"), method_names);
		operation->body = (Body) word_number(table_cell(table, row, "body"), body_names);
		operation->success = atoi(table_cell(table, row, "success"));
		operation->list_key = table_cell(table, row, "list_key");
		for (int i = 0; schema != NULL && i < schema_count; i++)
			if (strcmp(schemas[i].name, schema) == 0)
				operation->schema = &schemas[i];
		if (schema != NULL && operation->schema == NULL)
			fprintf(stderr, "flex_simulator: no members for schema %s\n", schema);
		if (!read_parameters(operation, parameters))
			return false;
	}
	return true;
}

/* Cuts a published path into segments; values become NULL, and {} in the shape. */
static void
cut_path(Route *route)
{
	Text shape = {0};
	char *rest = must_copy(route->path + 1);
	char *segment;

	while ((segment = strsep(&rest, "/")) != NULL && route->count < MAX_SEGMENTS)
	{
		bool value = segment[0] == '{';

		text_printf(&shape, "/%s", value ? "{}" : segment);
		route->segments[route->count++] = value ? NULL : segment;
		if (value)
		{
			segment[strlen(segment) - 1] = '\0';
			route->value_names[route->values++] = snake_case(segment + 1);
		}
	}
	route->shape = text_take(&shape);
}

/* Literal segments come before values, so that Comments is no assessment. */
static int
compare_routes(const void *left, const void *right)
{
	const Route *a = left;
	const Route *b = right;

	if (a->count != b->count)
		return a->count - b->count;
	for (int i = 0; i < a->count; i++)
		if ((a->segments[i] == NULL) != (b->segments[i] == NULL))
			return a->segments[i] == NULL ? 1 : -1;
	return strcmp(a->path, b->path);
}

/* Makes one route of all operations that share a path. */
static void
make_routes(void)
{
	routes = calloc((size_t) operation_count + 1, sizeof(Route));
	for (int i = 0; i < operation_count; i++)
	{
		Route *route = NULL;

		for (int j = 0; j < route_count; j++)
		{
			assert(routes[j].path != NULL);
			if (strcmp(routes[j].path, operations[i].path) == 0)
				route = &routes[j];
		}
		if (route == NULL)
		{
			route = &routes[route_count++];
			route->path = operations[i].path;
			cut_path(route);
		}
		route->operations[operations[i].method] = &operations[i];
	}
	qsort(routes, (size_t) route_count, sizeof(Route), compare_routes);
}

/* What the OpenAPI documents say, what pages say beside them, and some of other products. */
static const char *const folders[] = {"", "/pages", "/products"};

#define FOLDERS (sizeof(folders) / sizeof(folders[0]))

/* Reads a table of a folder; it is never freed. */
static bool
read_table(Table *table, const char *directory, const char *folder, const char *name)
{
	Text path = {0};
	bool good;

	text_printf(&path, "%s%s", directory, folder);
	good = table_read(table, path.data, name);
	text_free(&path);
	return good;
}

/* Reads all facts; false, with a message, if that is not possible. */
bool
facts_read(const char *directory)
{
	Table members;
	Table parameters;
	Table table;

	/* All members first: operations point to them. */
	for (size_t i = 0; i < FOLDERS; i++)
	{
		if (!read_table(&members, directory, folders[i], "members.tsv"))
			return false;
		read_members(&members);
	}
	for (size_t i = 0; i < FOLDERS; i++)
		if (!read_table(&parameters, directory, folders[i], "parameters.tsv") ||
			!read_table(&table, directory, folders[i], "operations.tsv") || !read_operations(&table, &parameters))
			return false;
	make_routes();
	return true;
}

/* How many operations there are; they are numbered from 0. */
int
facts_operation_count(void)
{
	return operation_count;
}

/* The operation of that number. */
const Operation *
facts_operation(int number)
{
	return &operations[number];
}

/* The operation whose SQL function has that name, or NULL. */
const Operation *
facts_operation_named(const char *function)
{
	for (int i = 0; i < operation_count; i++)
		if (strcmp(operations[i].function, function) == 0)
			return &operations[i];
	return NULL;
}

/* How many routes there are. */
int
facts_route_count(void)
{
	return route_count;
}

/* All routes, in the order in which they are to be tried. */
Route *
facts_routes(void)
{
	return routes;
}

/* What the documents call a type. */
const char *
type_name(ValueType type)
{
	return type_names[type];
}

/* The member of that name, or NULL. */
const Member *
schema_member(const Schema *schema, const char *name)
{
	for (int i = 0; schema != NULL && i < schema->count; i++)
		if (strcmp(schema->members[i].name, name) == 0)
			return &schema->members[i];
	return NULL;
}

/* Whether the value is one of the choices (a|b|c); NULL leaves the choice free. */
bool
is_choice(const char *choices, const char *value, size_t length)
{
	for (const char *choice = choices; choice != NULL; choice = strchr(choice, '|'))
	{
		choice += *choice == '|';
		if (strcspn(choice, "|") == length && memcmp(choice, value, length) == 0)
			return true;
	}
	return choices == NULL;
}
