/*
 * request.c
 *		Builds HTTP requests from operations and their arguments: path, query, headers, body.
 *
 * This depends neither on the network, nor on settings, nor on the system catalogs.  The
 * path is percent-encoded by RFC 3986; query and body are encoded as HTML forms are, with +
 * for a space.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/errors.h"
#include "base/url.h"
#include "request/request.h"
#include "request/services.h"

/* Limits far beyond what servers accept.  They bound the memory of a sender, which has many requests at once. */
#define MOST_TARGET_BYTES (512 * 1024)
#define MOST_BODY_BYTES (4 * 1024 * 1024)
#define MOST_HEADER_BYTES (64 * 1024)

#define FORM_TYPE "application/x-www-form-urlencoded" /* also of a POST without parameters */

/* Return true for a character that needs no encoding anywhere (RFC 3986, "unreserved"). */
static bool
is_unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		   c == '_' || c == '~';
}

/* Append a text percent-encoded.  space is appended for a space. */
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

/* Append name=value, after the separator unless that is '\0'. */
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

/* Let the request have a form as its body, which is empty at first. */
void
flex_request_begin_form(HttpRequest *request)
{
	request->content_type = FORM_TYPE;
}

/* Add a parameter to the form; name and value are UTF-8. */
void
flex_request_add_form(HttpRequest *request, const char *name, const char *value)
{
	append_pair(&request->body, request->body.len > 0 ? '&' : '\0', name, value);
}

/* Let the request have JSON, in UTF-8, as its body instead of a form. */
void
flex_request_set_json(HttpRequest *request, const char *json)
{
	resetStringInfo(&request->body);
	appendStringInfoString(&request->body, json);
	request->content_type = "application/json";
}

/* Memory context callback: erase the headers, which contain credentials. */
static void
erase_headers(void *argument)
{
	HttpRequest *request = argument;
	ListCell *cell;

	foreach (cell, request->headers)
		explicit_bzero(lfirst(cell), strlen(lfirst(cell)));
}

/* Note that a header contains credentials, and erase the headers when the request's memory context is reset. */
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
 * Add a header, in UTF-8.  libcurl takes "Name;" for a header without a value, while "Name:"
 * would remove the header of that name that it sends itself.
 */
void
flex_request_add_header(HttpRequest *request, const char *name, const char *value)
{
	const char *format = *value ? "%s: %s" : "%s;";

	request->headers = lappend(request->headers, psprintf(format, name, value));
	if (pg_strcasecmp(name, "Authorization") == 0)
		set_authorized(request);
}

/* Create a request for an encoded target (path and query).  It counts as one of FLEX_CUSTOM_OPERATION. */
HttpRequest *
flex_request_plain(const char *method, const char *target)
{
	static const Operation *custom = NULL; /* cached, because the search costs more than the rest of this function */
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

/* Return the path for a message, with the product's name unless it is the Flex API. */
const char *
flex_request_shown_path(const HttpRequest *request)
{
	if (strcmp(request->service, FLEX_SERVICE) == 0)
		return request->path;
	return psprintf("%s of %s", request->path, request->service);
}

/* Raise 54000 if a request exceeds the limits above. */
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

/* Return the text of the argument for {word} in the path. */
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

/* Return a path template with the encoded arguments in the place of each {Word}. */
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

/* Add one text of an argument to its place in the request. */
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
			Assert(false); /* flex_parameter_describe() has replaced it */
			break;
	}
}

/*
 * Check all arguments, and build the request in the current context.  Secrets are erased once
 * they are in the request.  Raises the errors of flex_argument_texts(), and 54000 if the
 * request is too large.
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
	/* Checked here, so that a request is refused when it is enqueued, and not when the outbox sends it. */
	flex_request_check_size(request);
	return request;
}

/* Create a request for another page of a list, with the headers of the previous request. */
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

/* Return true if the path of a target (path and query) is the given one. */
static bool
has_path(const char *target, const char *path)
{
	size_t length = strlen(path);

	return strncmp(target, path, length) == 0 && (target[length] == '?' || target[length] == '\0');
}

/*
 * Return a target without the path of the origin (flex_api.base_url may have one), which will
 * be put before it again.  If the target's path is that of the list itself, nothing is removed
 * even if it happens to begin like the origin's.
 */
static const char *
without_origin_path(const char *target, const char *origin, const HttpRequest *previous)
{
	const char *path = flex_url_path(origin);
	size_t length = strlen(path);

	if (strncmp(target, path, length) != 0 || target[length] != '/' || has_path(target, previous->path))
		return target;
	return target + length;
}

/*
 * Return the target for a page whose URL is in an answer; NULL if the URL is invalid.  Its
 * host is ignored: the service always gives its default host, whichever was asked, and
 * requests are sent to the configured origin only.
 */
const char *
flex_request_page_target(const HttpRequest *previous, const char *origin, const char *url)
{
	const char *target = flex_url_target(url);

	return target != NULL ? without_origin_path(target, origin, previous) : NULL;
}

/*
 * Create the request for the next page of a list, whose URL is in an answer, with the headers
 * of the previous request.  Raises 08P01 if the URL is invalid.
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
 * The same for a list whose answers have only path and query of the next page.  They may not
 * begin with two slashes: in a URL, a host would follow.
 */
HttpRequest *
flex_request_follow_path(const HttpRequest *previous, const char *origin, const char *path)
{
	if (!flex_url_target_is_good(path) || path[1] == '/')
		flex_error_answer("The next page's path and query could not be asked for.");
	return another_page(previous, without_origin_path(path, origin, previous));
}

/*
 * The same for a list whose pages are chained by a token: the previous request with the token,
 * in UTF-8, as the value of the given parameter.
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
