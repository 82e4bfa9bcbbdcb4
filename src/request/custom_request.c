/*
 * custom_request.c
 *		A request that the catalogue does not have, as its caller describes it.
 *
 * The caller gives method, path, parameters, body, headers and a product's name;
 * host, credentials and all that makes an HTTP message out of them are the
 * extension's.  Since the path follows the configured origin and begins with a
 * slash, and the name is one of a fixed list, no other host can be reached.  Whether it is sent at once or by the outbox, the request is made
 * and checked here.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "base/compat.h"
#include "base/encoding.h"
#include "base/url.h"
#include "request/custom_request.h"
#include "request/services.h"

/* The description; what is NULL but for function, method and path is none. */
typedef struct CustomCall
{
	const char *function; /* of SQL, for messages */
	const char *method;
	const char *path; /* with or without a query */
	Jsonb *parameters;
	Jsonb *body;
	Jsonb *headers;
	const char *service; /* a product's name */
} CustomCall;

/* Arguments of flex_request(); one of version 1.0.0 ends with the body. */
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

/* Called for each member of an object. */
typedef void (*MemberVisitor)(const CustomCall *call, HttpRequest *request, const char *name, JsonbValue *value);

/* The method, as one of the literals that requests have. */
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

/* The product that is asked, as one of the literals that requests have: the Flex API where none is named. */
static const char *
checked_service(const CustomCall *call)
{
	const char *service = call->service == NULL ? FLEX_SERVICE : flex_service_find(call->service);

	if (service == NULL)
		flex_argument_refuse_with_hint(call->function, "service", call->service, false, flex_service_names(),
									   "Leave it NULL for the Flex API.");
	return service;
}

/* Call the visitor for the members of an object, in its order. */
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

/* The text that a JSON value is sent as: a string as it is, anything else as JSON. */
static char *
parameter_text(const char *name, JsonbValue *value)
{
	Jsonb *json;

	if (value->type == jbvString)
		return flex_text_to_wire(pnstrdup(value->val.string.val, value->val.string.len), name);
	json = JsonbValueToJsonb(value);
	return flex_text_to_wire(flex_argument_json(json), name);
}

/* Add a parameter, null being none: to the form, unless the request has none, or JSON in its place. */
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

/* Add a member of the parameters: each element of an array by itself. */
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
 * True for a header that makes the HTTP message, or says who sends it: it is the
 * extension's to send, for a second one would mean something else to one of those
 * that read it.
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

/* Raise 22023 for a header that cannot be sent.  Its value, which may be a secret, is not shown. */
pg_noreturn static void
refuse_header(const CustomCall *call, const char *name, const char *expected)
{
	flex_argument_refuse(call->function, "headers", name, false, expected);
}

/* True for a token, as HTTP calls the characters of a header's name. */
static bool
is_token(const char *name)
{
	return *name != '\0' && name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
											  "!#$%&'*+-.^_`|~")] == '\0';
}

/* Add a header; null is none. */
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

/* The request that is described.  Raises 22023 for what cannot be sent, 54000 for what is too large. */
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

/* The text of an argument, which must not be NULL. */
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

/* The request of a call of flex_request() with those arguments, in its order. */
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

/* The request for the first page of a list, for a function with those arguments of these names. */
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
