/*
 * checks.c
 *	  What the service refuses before it looks at any resource, in its order:
 *	  who asks, which path, which method, which media type, and then the
 *	  parameters, those that it does not know first.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "browsers.h"
#include "checks.h"
#include "json_text.h"

/* Chat attributes and pre-engagement data may have so many bytes. */
#define MAX_ENGAGEMENT_DATA (16 * 1024)

/* Refuses the request, in the shape of its endpoint. Always returns false. */
bool
refuse(Request *request, int status, int code, const char *parameter, const char *format, ...)
{
	char message[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return answer_problem(&request->answer, shape_of_path(request->path), request->path, status, code, parameter, "%s",
						  message);
}

/* Refuses a request for something that is not there. Always returns false. */
bool
refuse_missing(Request *request)
{
	return refuse(request, 404, 20404, NULL, "The requested resource %s was not found", request->path);
}

/* The asker's credentials: Basic, or for Insights the token that a header parameter carries. */
static bool
check_credentials(Request *request)
{
	bool insights = strncmp(request->path, "/v1/Insights", 12) == 0;

	if (carries_token(request))
		return check_token(request);
	request->credential = accounts_credential(request_header(request, "Authorization"), insights);
	request->account = request->credential ? request->credential->account : NULL;
	if (request->account != NULL && !request->account->suspended)
		return true;
	/* The gateway refuses, and so in its own shape, whatever lies behind it. */
	return answer_problem(&request->answer, SHAPE_TWILIO, request->path, 401, 20003, NULL, "Authenticate");
}

/* There must be something at the path, and an operation for the method. */
static bool
check_operation(Request *request)
{
	if (request->route == NULL)
		return refuse_missing(request);
	if (request->operation == NULL)
		return refuse(request, 405, 20004, NULL, "Method not allowed");
	return true;
}

/* A restricted key is for the operations that it names; the gateway refuses others. */
static bool
check_permission(Request *request)
{
	if (credential_allows(request->credential, request->operation->function))
		return true;
	return answer_problem(&request->answer, SHAPE_TWILIO, request->path, 403, 20403, NULL, "Forbidden");
}

/* The body must be of the operation's media type; an empty form needs none. */
static bool
check_media_type(Request *request)
{
	const Operation *operation = request->operation;

	if (operation->method != METHOD_POST)
		return true;
	if (operation->body == BODY_JSON
			? request_has_media_type(request, "application/json")
			: request_has_media_type(request, "application/x-www-form-urlencoded") ||
				  (request->body.length == 0 && request_header(request, "Content-Type") == NULL))
		return true;
	return refuse(request, 415, 20415, NULL, "Unsupported Media Type");
}

/* The parameter of that name in query or form, or NULL. */
static const Parameter *
known_parameter(const Operation *operation, const Pair *pair)
{
	for (int i = 0; i < operation->count; i++)
		if (operation->parameters[i].place == (pair->query ? PLACE_QUERY : PLACE_FORM) &&
			strcmp(operation->parameters[i].name, pair->name) == 0)
			return &operation->parameters[i];
	return NULL;
}

/* Whether a parameter only says which page of a list is meant. */
bool
is_paging(const Operation *operation, const Pair *pair)
{
	return operation->list_key != NULL && pair->query &&
		   (strcmp(pair->name, "PageSize") == 0 || strcmp(pair->name, "Page") == 0 ||
			strcmp(pair->name, "PageToken") == 0);
}

/* Whether the text fits the pattern. */
static bool
fits_pattern(const Pattern *pattern, const char *text, size_t length)
{
	if (pattern->text == NULL)
		return true;
	if (pattern->prefix[0] == '\0')
		return strlen(text) == length && regexec(&pattern->regex, text, 0, NULL, 0) == 0;
	return length == SID_LENGTH && memcmp(text, pattern->prefix, 2) == 0 &&
		   strspn(text + 2, "0123456789abcdefABCDEF") == SID_LENGTH - 2;
}

/* Whether the text is an absolute URL. */
static bool
is_url(const Pair *pair)
{
	return (strncasecmp(pair->value, "https://", 8) == 0 || strncasecmp(pair->value, "http://", 7) == 0) &&
		   strcspn(pair->value, " \t\r\n\"<>\\^`{|}") == pair->length;
}

/* Whether the text is a number of that type, and nothing else. */
static bool
is_number(ValueType type, const Pair *pair)
{
	char *end;

	if (pair->length == 0 || strspn(pair->value, "+-0123456789.eE") != pair->length)
		return false;
	if (type == TYPE_INTEGER)
		(void) strtoll(pair->value, &end, 10);
	else
		(void) strtod(pair->value, &end);
	return end == pair->value + pair->length;
}

/* Whether the text is JSON, and an object where it must be one. */
static bool
is_json(const Pair *pair, bool object)
{
	json_object *value;
	bool valid =
		json_read(pair->value, pair->length, &value) && (!object || json_object_is_type(value, json_type_object));

	json_object_put(value);
	return valid;
}

/* The value must be of the parameter's type. */
static bool
check_type(Request *request, const Parameter *parameter, const Pair *pair)
{
	const char *name = parameter->name;

	switch (parameter->type)
	{
		case TYPE_BOOLEAN:
			if (strcmp(pair->value, "true") != 0 && strcmp(pair->value, "false") != 0)
				return refuse(request, 400, 20001, name, "Invalid value for parameter %s: it must be true or false",
							  name);
			break;
		case TYPE_INTEGER:
		case TYPE_NUMBER:
			if (!is_number(parameter->type, pair))
				return refuse(request, 400, 20001, name, "Invalid value for parameter %s: it must be a number", name);
			break;
		case TYPE_ANY:
		case TYPE_OBJECT:
			if (!is_json(pair, true))
				return refuse(request, 400, 20001, name, "Invalid value for parameter %s: it must be a JSON object",
							  name);
			break;
		default:
			break;
	}
	return true;
}

/* Pre- and post-engagement data and task attributes are strings that hold JSON. */
static bool
check_engagement_data(Request *request, const Parameter *parameter, const Pair *pair)
{
	const char *name = parameter->name;

	if (strcmp(name, "PreEngagementData") != 0 && strcmp(name, "PostEngagementData") != 0 &&
		strcmp(name, "TaskAttributes") != 0)
		return true;
	if (pair->length > MAX_ENGAGEMENT_DATA)
		return refuse(request, 400, 45731, name, "%s exceeds the maximum size of 16 KB", name);
	if (!is_json(pair, false))
		return refuse(request, 400, 45733, name, "%s is not a valid JSON", name);
	return true;
}

/* Everything that is to be said about one value. */
static bool
check_value(Request *request, const Parameter *parameter, const Pair *pair)
{
	const char *name = parameter->name;

	if (!pair->utf8)
		return refuse(request, 400, 20001, name, "Invalid value for parameter %s: it is not valid UTF-8", name);
	if (!fits_pattern(&parameter->pattern, pair->value, pair->length))
		return refuse(request, 400, 20001, name, "Invalid value for parameter %s: %.100s", name, pair->value);
	if (!is_choice(parameter->choices, pair->value, pair->length))
		return refuse(request, 400, 20001, name, "Invalid value for parameter %s: %.100s is not one of %s", name,
					  pair->value, parameter->choices);
	if (parameter->uri && !is_url(pair))
		return refuse(request, 400, 20001, name, "Invalid value for parameter %s: it must be a URL", name);
	return check_type(request, parameter, pair) && check_engagement_data(request, parameter, pair);
}

/* PageSize and Page. */
static bool
check_paging(Request *request)
{
	const Pair *size = request_pair(request, "PageSize", true);
	const Pair *page = request_pair(request, "Page", true);

	if (size != NULL)
	{
		if (!is_number(TYPE_INTEGER, size) || atoll(size->value) < 1)
			return refuse(request, 400, 20001, "PageSize", "Invalid value for parameter PageSize: %.100s", size->value);
		if (atoll(size->value) > MAX_PAGE_SIZE)
			return refuse(request, 400, 20007, "PageSize", "Page size too large");
	}
	if (page != NULL && (!is_number(TYPE_INTEGER, page) || atoll(page->value) < 0))
		return refuse(request, 400, 20001, "Page", "Invalid value for parameter Page: %.100s", page->value);
	return true;
}

/* The path's values must be what the documents say; else there is nothing there. */
static bool
check_path(Request *request)
{
	const Operation *operation = request->operation;
	int value = 0;

	for (int i = 0; i < operation->count; i++)
	{
		if (operation->parameters[i].place != PLACE_PATH)
			continue;
		for (value = 0; value < request->route->values; value++)
			if (strcmp(request->route->value_names[value], operation->parameters[i].member) == 0 &&
				!fits_pattern(&operation->parameters[i].pattern, request->values[value],
							  strlen(request->values[value])))
				return refuse_missing(request);
	}
	return true;
}

/* Query and form: unknown ones, missing ones, and then each value. */
static bool
check_parameters(Request *request)
{
	const Operation *operation = request->operation;

	for (size_t i = 0; i < request->pair_count; i++)
	{
		const Pair *pair = &request->pairs[i];

		if (!pair->utf8 && known_parameter(operation, pair) == NULL)
			return refuse(request, 400, 20001, NULL, "A parameter is not valid UTF-8");
		if (!is_paging(operation, pair) && known_parameter(operation, pair) == NULL)
			return refuse(request, 400, 20001, pair->name, "Unknown parameter %.100s", pair->name);
	}
	for (int i = 0; i < operation->count; i++)
	{
		const Parameter *parameter = &operation->parameters[i];

		if (parameter->required && (parameter->place == PLACE_FORM || parameter->place == PLACE_QUERY) &&
			request_pair(request, parameter->name, parameter->place == PLACE_QUERY) == NULL)
			return refuse(request, 400, 20001, parameter->name, "Missing required parameter %s in the post body",
						  parameter->name);
	}
	for (size_t i = 0; i < request->pair_count; i++)
	{
		const Parameter *parameter = known_parameter(operation, &request->pairs[i]);

		if (parameter != NULL && !check_value(request, parameter, &request->pairs[i]))
			return false;
	}
	return check_paging(request);
}

/* A JSON body must be an object in valid UTF-8. */
static bool
check_json(Request *request)
{
	if (request->operation->body != BODY_JSON)
		return true;
	if (!valid_utf8(request->body.data, request->body.length) ||
		!json_read(request->body.data, request->body.length, &request->json))
		return refuse(request, 400, 20001, NULL, "The request body is not valid JSON");
	if (!json_object_is_type(request->json, json_type_object))
		return refuse(request, 400, 20001, NULL, "The request body must be a JSON object");
	return true;
}

/* All checks, in the service's order; false when the answer is a refusal. */
bool
check_request(Request *request)
{
	return check_credentials(request) && check_operation(request) && check_permission(request) &&
		   check_media_type(request) && check_path(request) && check_conversation(request) &&
		   check_parameters(request) && check_json(request);
}
