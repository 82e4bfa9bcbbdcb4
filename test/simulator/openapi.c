/*
 * openapi.c
 *	  The operations that are served, as an OpenAPI document: generated from
 *	  the facts, so that it says what this simulator knows and nothing else.
 */
#include <stdio.h>
#include <string.h>

#include "facts.h"
#include "json_text.h"
#include "openapi.h"

#define SCHEMAS "#/components/schemas/"

static const char *const methods[METHOD_COUNT] = {"get", "post", "delete"};

/* Adds a new object to one. */
static json_object *
add_object(json_object *object, const char *name)
{
	json_object *made = json_object_new_object();

	json_object_object_add(object, name, made);
	return made;
}

/* Adds a text to an object, unless there is none. */
static void
add_text(json_object *object, const char *name, const char *text)
{
	if (text != NULL)
		json_object_object_add(object, name, json_object_new_string(text));
}

/* The choices a|b|c as an array. */
static json_object *
list_choices(const char *choices)
{
	json_object *list = json_object_new_array();

	for (const char *choice = choices; choice != NULL; choice = strchr(choice, '|'))
	{
		choice += *choice == '|';
		json_object_array_add(list, json_object_new_string_len(choice, (int) strcspn(choice, "|")));
	}
	return list;
}

/* The schema of a value. */
static json_object *
describe_value(ValueType type, const char *format, const char *pattern, const char *choices)
{
	json_object *schema = json_object_new_object();

	/* A value of any type has no type in the documents. */
	if (type != TYPE_ANY)
		add_text(schema, "type", type_name(type));
	if (type == TYPE_ARRAY)
		add_object(schema, "items");
	add_text(schema, "format", format);
	add_text(schema, "pattern", pattern);
	if (choices != NULL)
		json_object_object_add(schema, "enum", list_choices(choices));
	return schema;
}

/* The schema of a parameter. */
static json_object *
describe_parameter(const Parameter *parameter)
{
	return describe_value(parameter->type, parameter->uri ? "uri" : NULL, parameter->pattern.text, parameter->choices);
}

/* A reference to a schema of the document. */
static json_object *
refer_to(const Schema *schema)
{
	json_object *reference = json_object_new_object();
	Text place = {0};

	text_printf(&place, SCHEMAS "%s", schema->name);
	add_text(reference, "$ref", place.data);
	text_free(&place);
	return reference;
}

/* Adds the parameters of path, query and header. */
static void
add_parameters(json_object *described, const Operation *operation)
{
	static const char *const paging[] = {"PageSize", "Page", "PageToken"};
	static const char *const places[] = {[PLACE_PATH] = "path", [PLACE_QUERY] = "query", [PLACE_HEADER] = "header"};
	json_object *list = json_object_new_array();

	for (int i = 0; i < operation->count; i++)
	{
		const Parameter *parameter = &operation->parameters[i];
		json_object *entry;

		if (parameter->place == PLACE_FORM || parameter->place == PLACE_JSON)
			continue;
		entry = json_object_new_object();
		add_text(entry, "name", parameter->name);
		add_text(entry, "in", places[parameter->place]);
		json_object_object_add(entry, "required", json_object_new_boolean(parameter->required));
		json_object_object_add(entry, "schema", describe_parameter(parameter));
		json_object_array_add(list, entry);
	}
	for (int i = 0; operation->list_key != NULL && i < 3; i++)
	{
		json_object *entry = json_object_new_object();

		add_text(entry, "name", paging[i]);
		add_text(entry, "in", "query");
		json_object_object_add(entry, "schema", describe_value(i == 2 ? TYPE_STRING : TYPE_INTEGER, NULL, NULL, NULL));
		json_object_array_add(list, entry);
	}
	json_object_object_add(described, "parameters", list);
}

/* Adds the body that an operation takes. */
static void
add_body(json_object *described, const Operation *operation)
{
	json_object *schema = json_object_new_object();
	json_object *properties = add_object(schema, "properties");
	json_object *required = json_object_new_array();
	json_object *content;

	add_text(schema, "type", "object");
	for (int i = 0; i < operation->count; i++)
	{
		const Parameter *parameter = &operation->parameters[i];

		if (parameter->place != PLACE_FORM)
			continue;
		json_object_object_add(properties, parameter->name, describe_parameter(parameter));
		if (parameter->required)
			json_object_array_add(required, json_object_new_string(parameter->name));
	}
	if (json_object_array_length(required) > 0)
		json_object_object_add(schema, "required", json_object_get(required));
	json_object_put(required);
	content = add_object(add_object(described, "requestBody"), "content");
	json_object_object_add(
		add_object(content, operation->body == BODY_JSON ? "application/json" : "application/x-www-form-urlencoded"),
		"schema", schema);
}

/* The schema of what an operation answers; NULL for nothing. */
static json_object *
describe_answer(const Operation *operation)
{
	json_object *page;
	json_object *properties;
	json_object *rows;

	if (operation->schema == NULL)
		return NULL;
	if (operation->list_key == NULL)
		return refer_to(operation->schema);
	page = json_object_new_object();
	add_text(page, "type", "object");
	properties = add_object(page, "properties");
	add_text(add_object(properties, "meta"), "type", "object");
	rows = add_object(properties, operation->list_key);
	add_text(rows, "type", "array");
	json_object_object_add(rows, "items", refer_to(operation->schema));
	return page;
}

/* One operation. */
static json_object *
describe_operation(const Operation *operation)
{
	json_object *described = json_object_new_object();
	json_object *answer = describe_answer(operation);
	json_object *response;
	char status[16];

	add_text(described, "operationId", operation->function);
	add_parameters(described, operation);
	if (operation->body != BODY_NONE)
		add_body(described, operation);
	snprintf(status, sizeof(status), "%d", operation->success);
	response = add_object(add_object(described, "responses"), status);
	add_text(response, "description", operation->success == 204 ? "Done" : "What there is then");
	if (answer != NULL)
		json_object_object_add(add_object(add_object(response, "content"), "application/json"), "schema", answer);
	return described;
}

/* Adds the schema of what operations answer. */
static void
add_schema(json_object *schemas, const Schema *schema)
{
	json_object *described = add_object(schemas, schema->name);
	json_object *properties = add_object(described, "properties");

	add_text(described, "type", "object");
	for (int i = 0; i < schema->count; i++)
	{
		const Member *member = &schema->members[i];
		json_object *value = describe_value(member->type, member->format, member->pattern, member->choices);

		json_object_object_add(value, "nullable", json_object_new_boolean(true));
		json_object_object_add(properties, member->name, value);
	}
}

/* Writes the document; the base is scheme and host of the simulator. */
void
openapi_write(Text *text, const char *base)
{
	json_object *document = json_object_new_object();
	json_object *info = add_object(document, "info");
	json_object *paths = add_object(document, "paths");
	json_object *components = add_object(document, "components");
	json_object *schemas = add_object(components, "schemas");
	json_object *basic = add_object(add_object(components, "securitySchemes"), "accountSid_authToken");
	json_object *servers = json_object_new_array();
	json_object *server = json_object_new_object();

	add_text(document, "openapi", "3.0.1");
	add_text(info, "title", "Twilio - Flex, as flex_simulator serves it");
	add_text(info, "version", "1.1.0");
	add_text(server, "url", base);
	json_object_array_add(servers, server);
	json_object_object_add(document, "servers", servers);
	add_text(basic, "type", "http");
	add_text(basic, "scheme", "basic");
	for (int i = 0; i < facts_operation_count(); i++)
	{
		const Operation *operation = facts_operation(i);
		json_object *path = json_member(paths, operation->path);

		if (path == NULL)
			path = add_object(paths, operation->path);
		json_object_object_add(path, methods[operation->method], describe_operation(operation));
		if (operation->schema != NULL && json_member(schemas, operation->schema->name) == NULL)
			add_schema(schemas, operation->schema);
	}
	json_write(text, document);
	json_object_put(document);
}
