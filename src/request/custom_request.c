/*
 * custom_request.c
 *		Builds requests of operations that are not in the catalogue.
 *
 * The caller gives method, path, parameters, body, headers and the name of a product; the
 * extension adds the host, the credentials and the headers of the HTTP message.  No other
 * host can be reached, because the path begins with a slash and is appended to the
 * configured origin, and products are from a fixed list.
 *
 * Requests that are sent at once and those of the outbox are both built and checked here.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "base/compat.h"
#include "base/encoding.h"
#include "base/url.h"
#include "request/custom_request.h"
#include "request/services.h"

/* The arguments of a call; those from "parameters" on may be NULL. */
typedef struct CustomCall
{
	const char *function; /* name of the SQL function, for messages */
	const char *method;
	const char *path; /* with or without a query */
	Jsonb *parameters;
	Jsonb *body;
	Jsonb *headers;
	const char *service; /* name of a product; NULL: the Flex API */
} CustomCall;

/* Arguments of flex_request(); the function of release 1.0.0 has those up to the body. */
enum
{
	ARGUMENT_METHOD,
	ARGUMENT_PATH,
	ARGUMENT_PARAMETERS,
	ARGUMENT_BODY,
	ARGUMENT_HEADERS,
	ARGUMENT_SERVICE,
	ARGUMENTS
};

/* Is called for each member of an object. */
typedef void (*MemberVisitor)(const CustomCall *call, HttpRequest *request, const char *name, JsonbValue *value);

/* Check the method, and return it as a literal: an HttpRequest does not own its method. */
static const char *
checked_method(const CustomCall *call)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

	for (size_t i = 0; i < lengthof(methods); i++)
	{
		if (strcmp(methods[i], call->method) == 0)
			return methods[i];
	}
	flex_argument_refuse(call->function, "method", call->method, false, "GET, POST, PUT, PATCH or DELETE");
}

/* Check the product's name, and return it as a literal; the Flex API's by default. */
static const char *
checked_service(const CustomCall *call)
{
	const char *service = call->service == NULL ? FLEX_SERVICE : flex_service_find(call->service);

	if (service == NULL)
		flex_argument_refuse_with_hint(call->function, "service", call->service, false, flex_service_names(),
									   "Leave it NULL for the Flex API.");
	return service;
}

/* Call a function for each member of an argument that must be an object; raises 22023 if it is not. */
static void
visit_members(const CustomCall *call, HttpRequest *request, Jsonb *object, const char *argument, MemberVisitor visit)
{
	JsonbIterator *iterator;
	JsonbValue key;
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(object))
		flex_argument_refuse(call->function, argument, flex_argument_json(object), false,
							 "a JSON object of names and values");
	iterator = JsonbIteratorInit(&object->root);
	(void) JsonbIteratorNext(&iterator, &key, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		char *name = pnstrdup(key.val.string.val, key.val.string.len);

		(void) JsonbIteratorNext(&iterator, &value, true);
		visit(call, request, name, &value);
	}
}

/* Return the text as which a JSON value is sent, in UTF-8: a string as it is, anything else as JSON. */
static char *
parameter_text(const char *name, JsonbValue *value)
{
	Jsonb *json;

	if (value->type == jbvString)
		return flex_text_to_wire(pnstrdup(value->val.string.val, value->val.string.len), name);
	json = JsonbValueToJsonb(value);
	return flex_text_to_wire(flex_argument_json(json), name);
}

/* Add a parameter to the form, or to the query if the request has no form or a JSON body; null is not sent. */
static void
add_parameter(const CustomCall *call, HttpRequest *request, const char *name, JsonbValue *value)
{
	char *wire_name = flex_text_to_wire(name, "parameters");

	if (value->type == jbvNull)
		return;
	if (request->content_type == NULL || call->body != NULL)
		flex_request_add_query(request, wire_name, parameter_text(name, value));
	else
		flex_request_add_form(request, wire_name, parameter_text(name, value));
}

/* MemberVisitor: add a parameter; an array stands for several parameters of the same name. */
static void
add_parameters(const CustomCall *call, HttpRequest *request, const char *name, JsonbValue *value)
{
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
	{
		add_parameter(call, request, name, value);
		return;
	}
	for (uint32 i = 0; i < JsonContainerSize(value->val.binary.data); i++)
		add_parameter(call, request, name, getIthJsonbValueFromContainer(value->val.binary.data, i));
}

/*
 * Return true for a header that only the extension may send, because it belongs to the HTTP
 * message or to the credentials.  If there were two of them, a proxy and the service might
 * each take another one as valid.
 */
static bool
is_own_header(const char *name)
{
	static const char *const own[] = {
		"Accept",
		"Accept-Encoding",
		"Authorization",
		"Connection",
		"Content-Encoding",
		"Content-Length",
		"Content-Type",
		"Expect",
		"Host",
		"HTTP2-Settings",
		"Keep-Alive",
		"Proxy-Authorization",
		"Proxy-Connection",
		"TE",
		"Trailer",
		"Transfer-Encoding",
		"Upgrade",
		"User-Agent",
	};

	for (size_t i = 0; i < lengthof(own); i++)
	{
		if (pg_strcasecmp(own[i], name) == 0)
			return true;
	}
	return false;
}

/* Raise 22023 for a header.  Its value is not shown, as it may be a secret. */
pg_noreturn static void
refuse_header(const CustomCall *call, const char *name, const char *expected)
{
	flex_argument_refuse(call->function, "headers", name, false, expected);
}

/* Return true if a header's name is a "token" as defined by HTTP. */
static bool
is_token(const char *name)
{
	return *name != '\0' && name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
											  "!#$%&'*+-.^_`|~")] == '\0';
}

/* MemberVisitor: add a header; null is not sent. */
static void
add_header(const CustomCall *call, HttpRequest *request, const char *name, JsonbValue *value)
{
	char *text;

	if (!is_token(name))
		refuse_header(call, name, "names of headers: letters, digits and hyphens");
	if (is_own_header(name))
		refuse_header(call, name, "other headers than those that the extension sends itself");
	if (value->type == jbvNull)
		return;
	if (value->type != jbvString)
		refuse_header(call, name, "headers whose values are strings");
	text = parameter_text("headers", value);
	if (!flex_header_value_is_good(text))
		refuse_header(call, name, "headers whose values have no control characters");
	flex_request_add_header(request, name, text);
}

/* Build the request of a call.  Raises 22023 for an invalid argument, 54000 if it is too large. */
static HttpRequest *
build_request(const CustomCall *call)
{
	const char *method = checked_method(call);
	const char *service = checked_service(call);
	HttpRequest *request;

	if (!flex_url_target_is_good(call->path) || strpbrk(call->path, "\\\"<>^`{|}") != NULL)
		flex_argument_refuse(call->function, "path", call->path, false,
							 "a path that begins with a slash, percent-encoded and without parts \".\" or \"..\"");
	if (call->body != NULL && strcmp(method, "GET") == 0)
		flex_argument_refuse_with_hint(call->function, "body", flex_argument_json(call->body), false,
									   "no body with the method GET", "Give parameters: they go into the query.");
	request = flex_request_plain(method, call->path);
	request->operation = call->function;
	request->service = service;
	if (strcmp(service, FLEX_SERVICE) == 0)
		request->key = flex_operation_key(method, request->path);
	if (strcmp(call->method, "GET") != 0 && strcmp(call->method, "DELETE") != 0)
		flex_request_begin_form(request);
	if (call->parameters != NULL)
		visit_members(call, request, call->parameters, "parameters", add_parameters);
	if (call->headers != NULL)
		visit_members(call, request, call->headers, "headers", add_header);
	if (call->body != NULL)
		flex_request_set_json(request, flex_text_to_wire(flex_argument_json(call->body), "body"));
	flex_request_check_size(request);
	return request;
}

/* Return the text of an argument.  Raises 22004 for NULL. */
static char *
required_text(const char *function, const char *name, const NullableDatum *value)
{
	if (value->isnull)
		flex_argument_refuse_null(function, name);
	return TextDatumGetCString(value->value);
}

static char *
text_or_null(const NullableDatum *value)
{
	return value->isnull ? NULL : TextDatumGetCString(value->value);
}

static Jsonb *
json_or_null(const NullableDatum *value)
{
	return value->isnull ? NULL : DatumGetJsonbP(value->value);
}

/* Build the request of flex_request().  values are its arguments, of which an older release has fewer. */
HttpRequest *
flex_custom_request(const NullableDatum *values, int count)
{
	static const char function[] = "flex_request";
	CustomCall call = {
		.function = function,
		.method = required_text(function, "method", &values[ARGUMENT_METHOD]),
		.path = required_text(function, "path", &values[ARGUMENT_PATH]),
		.parameters = json_or_null(&values[ARGUMENT_PARAMETERS]),
		.body = json_or_null(&values[ARGUMENT_BODY]),
		.headers = count > ARGUMENT_HEADERS ? json_or_null(&values[ARGUMENT_HEADERS]) : NULL,
		.service = count > ARGUMENT_SERVICE ? text_or_null(&values[ARGUMENT_SERVICE]) : NULL,
	};

	Assert(count > ARGUMENT_BODY && count <= ARGUMENTS);
	return build_request(&call);
}

/* Build the request for the first page of a list, for an SQL function with arguments of these names. */
HttpRequest *
flex_custom_list_request(const char *function, const NullableDatum *path, const NullableDatum *parameters,
						 const NullableDatum *headers, const NullableDatum *service)
{
	CustomCall call = {
		.function = function,
		.method = "GET",
		.path = required_text(function, "path", path),
		.parameters = json_or_null(parameters),
		.headers = json_or_null(headers),
		.service = text_or_null(service),
	};

	return build_request(&call);
}
