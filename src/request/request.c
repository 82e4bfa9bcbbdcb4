/*
 * request.c
 *		An operation and its arguments become path, query, headers and body.
 *
 * Pure: knows no network, no settings and no catalog.  Encoding is that of
 * HTML forms in query and body (space is +), and of RFC 3986 in the path.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/errors.h"
#include "base/url.h"
#include "request/request.h"
#include "request/services.h"

/* Far beyond what any server takes: those of the outbox are many in memory at once. */
#define MOST_TARGET_BYTES (512 * 1024)
#define MOST_BODY_BYTES (4 * 1024 * 1024)
#define MOST_HEADER_BYTES (64 * 1024)

#define FORM_TYPE "application/x-www-form-urlencoded" /* also of a POST without parameters */

/* The characters that need no encoding anywhere (RFC 3986, unreserved). */
static bool
is_unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		   c == '_' || c == '~';
}

/* Append text percent-encoded; a space becomes the character or text given. */
static void
append_encoded(StringInfo to, const char *text, const char *space)
{
	static const char hex[] = "0123456789ABCDEF";

	for (const unsigned char *p = (const unsigned char *) text; *p; p++)
	{
		const unsigned char *end = p;

		while (is_unreserved(*end))
			end++;
		appendBinaryStringInfo(to, (const char *) p, (int) (end - p));
		p = end;
		if (*p == '\0')
			return;
		if (*p == ' ')
			appendStringInfoString(to, space);
		else
		{
			appendStringInfoCharMacro(to, '%');
			appendStringInfoCharMacro(to, hex[*p >> 4]);
			appendStringInfoCharMacro(to, hex[*p & 15]);
		}
	}
}

/* Append name=value, with the separator that is due. */
static void
append_pair(StringInfo to, char separator, const char *name, const char *value)
{
	if (separator != '\0')
		appendStringInfoCharMacro(to, separator);
	append_encoded(to, name, "+");
	appendStringInfoCharMacro(to, '=');
	append_encoded(to, value, "+");
}

/* Add a parameter to the query; name and value are UTF-8. */
void
flex_request_add_query(HttpRequest *request, const char *name, const char *value)
{
	bool first = strchr(request->target.data, '?') == NULL;

	append_pair(&request->target, first ? '?' : '&', name, value);
}

/* Give the request a form for its body, empty as yet. */
void
flex_request_begin_form(HttpRequest *request)
{
	request->content_type = FORM_TYPE;
}

/* Add a parameter to the form that was begun; name and value are UTF-8. */
void
flex_request_add_form(HttpRequest *request, const char *name, const char *value)
{
	append_pair(&request->body, request->body.len > 0 ? '&' : '\0', name, value);
}

/* Make JSON, in UTF-8, the body. */
void
flex_request_set_json(HttpRequest *request, const char *json)
{
	resetStringInfo(&request->body);
	appendStringInfoString(&request->body, json);
	request->content_type = "application/json";
}

/* Leave nothing of the headers in memory; a context's reset calls this. */
static void
erase_headers(void *argument)
{
	HttpRequest *request = argument;
	ListCell *cell;

	foreach (cell, request->headers)
		explicit_bzero(lfirst(cell), strlen(lfirst(cell)));
}

/* The request has a header with credentials. */
static void
set_authorized(HttpRequest *request)
{
	if (request->authorized)
		return;
	request->authorized = true;
	request->erase = (MemoryContextCallback){.func = erase_headers, .arg = request};
	MemoryContextRegisterResetCallback(GetMemoryChunkContext(request), &request->erase);
}

/*
 * Add a header, in UTF-8.  With a semicolon libcurl sends one without a value; with a
 * colon it would remove one of its own.
 */
void
flex_request_add_header(HttpRequest *request, const char *name, const char *value)
{
	const char *format = *value ? "%s: %s" : "%s;";

	request->headers = lappend(request->headers, psprintf(format, name, value));
	if (pg_strcasecmp(name, "Authorization") == 0)
		set_authorized(request);
}

/* A request for a path and query that are encoded already; it counts as a custom one. */
HttpRequest *
flex_request_plain(const char *method, const char *target)
{
	static const Operation *custom = NULL; /* to look for it costs more than all else here */
	HttpRequest *request = palloc0(sizeof(HttpRequest));

	if (custom == NULL)
		custom = flex_operation_find(FLEX_CUSTOM_OPERATION);
	request->service = FLEX_SERVICE;
	request->operation = "flex_request";
	request->method = method;
	request->path = pnstrdup(target, strcspn(target, "?"));
	initStringInfo(&request->target);
	appendStringInfoString(&request->target, target);
	initStringInfo(&request->body);
	request->key = "sid";
	request->idempotent = flex_method_is_idempotent(method);
	request->counts_as = custom;
	return request;
}

/* The path as messages show it, with the product where that is not the Flex API. */
const char *
flex_request_shown_path(const HttpRequest *request)
{
	if (strcmp(request->service, FLEX_SERVICE) == 0)
		return request->path;
	return psprintf("%s of %s", request->path, request->service);
}

/* Raise 54000 for a request that is larger than any server takes. */
void
flex_request_check_size(const HttpRequest *request)
{
	size_t header_bytes = 0;
	ListCell *cell;

	foreach (cell, request->headers)
		header_bytes += strlen(lfirst(cell));
	if (header_bytes > MOST_HEADER_BYTES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the request's headers are too long"),
						errdetail("They have %zu bytes, and %d are allowed.", header_bytes, MOST_HEADER_BYTES)));
	if (request->target.len > MOST_TARGET_BYTES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the request's URL is too long"),
						errdetail("Its path and query have %d bytes, and %d are allowed.", request->target.len,
								  MOST_TARGET_BYTES)));
	if (request->body.len > MOST_BODY_BYTES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the request is too large"),
						errdetail("Its body has %d bytes, and %d are allowed.", request->body.len, MOST_BODY_BYTES)));
}

/* The text of the argument that stands in the path as {word}. */
static const char *
path_value(const char *word, size_t length, const Parameter *parameters, int count, char ***texts)
{
	for (int i = 0; i < count; i++)
	{
		if (strncmp(parameters[i].wire, word, length) == 0 && parameters[i].wire[length] == '\0')
			return texts[i][0];
	}
	elog(ERROR, "no argument for {%.*s} of the path", (int) length, word);
}

/* The operation's path with its arguments in it. */
static char *
fill_path(const char *path, const Parameter *parameters, int count, char ***texts)
{
	StringInfoData filled;
	const char *rest = path;

	initStringInfo(&filled);
	for (;;)
	{
		size_t literal = strcspn(rest, "{");
		size_t word;

		appendBinaryStringInfo(&filled, rest, literal);
		rest += literal;
		if (*rest == '\0')
			return filled.data;
		word = strcspn(++rest, "}");
		append_encoded(&filled, path_value(rest, word, parameters, count, texts), "%20");
		rest += word + 1;
	}
}

/* Put one text of an argument where it goes. */
static void
place_text(HttpRequest *request, const Parameter *parameter, const char *text)
{
	switch (parameter->place)
	{
		case PLACE_QUERY:
			flex_request_add_query(request, parameter->wire, text);
			break;
		case PLACE_FORM:
			flex_request_add_form(request, parameter->wire, text);
			break;
		case PLACE_HEADER:
			flex_request_add_header(request, parameter->wire, text);
			break;
		case PLACE_BODY:
			flex_request_set_json(request, text);
			break;
		case PLACE_PATH:
		case PLACE_NOWHERE:
			break;
		case PLACE_BY_METHOD:
			Assert(false); /* flex_parameter_describe() has decided */
			break;
	}
}

/*
 * Check all arguments, then make the request, in the current context.  Raises
 * what flex_argument_texts() raises, before anything else happens.
 */
HttpRequest *
flex_request_build(const Operation *operation, const Parameter *parameters, int count, const NullableDatum *values)
{
	int *counts = palloc(sizeof(int) * Max(count, 1));
	char ***texts = palloc(sizeof(char **) * Max(count, 1));
	HttpRequest *request;

	for (int i = 0; i < count; i++)
		counts[i] = flex_argument_texts(&parameters[i], &values[i], &texts[i]);
	request = flex_request_plain(operation->method, fill_path(operation->path, parameters, count, texts));
	request->counts_as = operation;
	request->operation = operation->name;
	request->path_template = operation->path;
	if (operation->key != NULL)
		request->key = operation->key;
	if (!request->idempotent)
		flex_request_begin_form(request);
	for (int i = 0; i < count; i++)
	{
		for (int j = 0; j < counts[i]; j++)
		{
			place_text(request, &parameters[i], texts[i][j]);
			if (parameters[i].rule->secret)
				explicit_bzero(texts[i][j], strlen(texts[i][j]));
		}
	}
	Assert(request->key != NULL && request->target.data[0] == '/');
	/* Here, so that in the outbox it is this request's error and no other's. */
	flex_request_check_size(request);
	return request;
}

/* A request for another page of the list that one was for, with its headers. */
static HttpRequest *
another_page(const HttpRequest *previous, const char *target)
{
	HttpRequest *request = flex_request_plain("GET", target);
	ListCell *cell;

	request->service = previous->service;
	request->counts_as = previous->counts_as;
	request->operation = previous->operation;
	request->path_template = previous->path_template;
	request->way = previous->way;
	foreach (cell, previous->headers)
		request->headers = lappend(request->headers, pstrdup(lfirst(cell)));
	if (previous->authorized)
		set_authorized(request);
	return request;
}

/* True when a path and query have that path. */
static bool
has_path(const char *target, const char *path)
{
	size_t length = strlen(path);

	return strncmp(target, path, length) == 0 && (target[length] == '?' || target[length] == '\0');
}

/*
 * A path and query without the origin's own path, which will be put before it: the
 * list's path may begin as that does, and then nothing is there to be taken away.
 */
static const char *
without_origin_path(const char *target, const char *origin, const HttpRequest *previous)
{
	const char *host = strstr(origin, "://") + 3;
	const char *path = host + strcspn(host, "/");
	size_t length = strlen(path);

	if (strncmp(target, path, length) != 0 || target[length] != '/' || has_path(target, previous->path))
		return target;
	return target + length;
}

/*
 * The path and query by which a page at a URL of an answer is asked for; NULL where
 * it cannot be.  The host does not matter: the service names its plain one whatever
 * host was asked, and only the origin is.
 */
const char *
flex_request_page_target(const HttpRequest *previous, const char *origin, const char *url)
{
	const char *target = flex_url_target(url);

	return target != NULL ? without_origin_path(target, origin, previous) : NULL;
}

/*
 * The request for the next page of a list, at the URL that an answer gave, with
 * the headers of the one before.  Raises 08P01 for a URL that cannot be asked for.
 */
HttpRequest *
flex_request_follow(const HttpRequest *previous, const char *origin, const char *url)
{
	const char *target = flex_request_page_target(previous, origin, url);

	if (target == NULL)
		flex_error_answer("The next page's URL has no path and query that could be asked for.");
	return another_page(previous, target);
}

/*
 * The same for the next page of a list that goes on by a token: the request
 * before, with another value, in UTF-8, of that parameter.
 */
HttpRequest *
flex_request_follow_token(const HttpRequest *previous, const char *parameter, const char *token)
{
	HttpRequest *request = another_page(previous, previous->path);
	const char *pair = previous->target.data + strlen(previous->path);
	size_t name_length = strlen(parameter);

	while (*pair != '\0')
	{
		size_t length = strcspn(++pair, "&");

		if (strncmp(pair, parameter, name_length) != 0 || pair[name_length] != '=')
		{
			appendStringInfoChar(&request->target, strchr(request->target.data, '?') == NULL ? '?' : '&');
			appendBinaryStringInfo(&request->target, pair, length);
		}
		pair += length;
	}
	flex_request_add_query(request, parameter, token);
	return request;
}
