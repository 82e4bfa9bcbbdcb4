/*
 * request.c
 *	  Takes a request apart: path, query and form.
 *
 * libmicrohttpd is told not to decode anything. The path is cut at its
 * slashes before it is decoded, so that %2F in a value cannot change which
 * resource is meant, and what was received can be shown as it was.
 *
 * A client that puts the product's name before each path, as with a base URL
 * of http://127.0.0.1:8080/{service}, asks for the Flex API at /flex-api; the
 * other products' paths are in the facts with their names.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "options.h"
#include "request.h"
#include "text.h"

/* Takes the Flex API's own name off the path; returns it, or "". */
static const char *
cut_prefix(char *path)
{
	static const char prefix[] = "/flex-api";
	size_t length = strlen(prefix);

	if (strncmp(path, prefix, length) != 0 || path[length] != '/')
		return "";
	memmove(path, path + length, strlen(path + length) + 1);
	return prefix;
}

/* Begins a request with the raw URI of its request line. */
Request *
request_new(struct MHD_Connection *connection, const char *uri)
{
	Request *request = calloc(1, sizeof(Request));
	char *mark;

	request->connection = connection;
	request->started_us = now_us();
	request->uri = must_copy(uri);
	request->path = must_copy(uri);
	mark = strchr(request->path, '?');
	request->query = "";
	if (mark != NULL)
	{
		*mark = '\0';
		request->query = mark + 1;
	}
	request->prefix = cut_prefix(request->path);
	answer_clear(&request->answer);
	make_sid("RQ", request->request_id);
	return request;
}

/* Frees a request with all that belongs to it. */
void
request_free(Request *request)
{
	free(request->uri);
	free(request->path);
	free(request->decoded);
	free(request->pairs);
	free(request->identity);
	text_free(&request->body);
	json_object_put(request->json);
	answer_clear(&request->answer);
	free(request);
}

/* The value of a header, or NULL. */
const char *
request_header(const Request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* Whether the Content-Type, without its parameters, is the one given. */
bool
request_has_media_type(const Request *request, const char *type)
{
	const char *header = request_header(request, "Content-Type");
	size_t length = strlen(type);

	return header != NULL && strncasecmp(header, type, length) == 0 &&
		   (header[length] == '\0' || header[length] == ';' || isspace((unsigned char) header[length]));
}

/* Whether the bytes are UTF-8: no overlong form, no surrogate, no NUL. */
bool
valid_utf8(const char *data, size_t length)
{
	const unsigned char *byte = (const unsigned char *) data;
	const unsigned char *end = byte + length;

	while (byte < end)
	{
		int more = *byte < 0x80 ? 0 : *byte >> 5 == 6 ? 1 : *byte >> 4 == 14 ? 2 : *byte >> 3 == 30 ? 3 : -1;
		unsigned int point;

		if (more < 0 || *byte == 0 || end - byte <= more)
			return false;
		point = more == 0 ? *byte : *byte & (0x3f >> more);
		for (int i = 1; i <= more; i++)
		{
			if (byte[i] >> 6 != 2)
				return false;
			point = point << 6 | (byte[i] & 0x3f);
		}
		if ((more == 1 && point < 0x80) || (more == 2 && (point < 0x800 || point >> 11 == 27)) ||
			(more == 3 && (point < 0x10000 || point > 0x10ffff)))
			return false;
		byte += more + 1;
	}
	return true;
}

/* Decodes bytes to a place, and ends them with NUL; returns the new length. */
static size_t
decode(char *place, const char *data, size_t length, bool plus)
{
	char *start = place;

	for (size_t i = 0; i < length; i++)
	{
		unsigned int value;

		if (data[i] == '%' && i + 2 < length && isxdigit((unsigned char) data[i + 1]) &&
			isxdigit((unsigned char) data[i + 2]) && sscanf(data + i + 1, "%2x", &value) == 1)
		{
			*place++ = (char) value;
			i += 2;
		}
		else
			*place++ = plus && data[i] == '+' ? ' ' : data[i];
	}
	*place = '\0';
	return (size_t) (place - start);
}

/* Cuts a query or a form into decoded pairs; returns the place behind them. */
static char *
cut_pairs(Request *request, const char *data, size_t length, bool query, char *place)
{
	const char *end = data + length;

	while (data < end)
	{
		const char *stop = memchr(data, '&', (size_t) (end - data));
		const char *sign;
		Pair *pair;

		if (stop == NULL)
			stop = end;
		sign = memchr(data, '=', (size_t) (stop - data));
		if (stop > data)
		{
			if ((request->pair_count & (request->pair_count + 1)) == 0)
				request->pairs = must_resize(request->pairs, (request->pair_count * 2 + 1) * sizeof(Pair));
			pair = &request->pairs[request->pair_count++];
			*pair = (Pair){.name = place, .query = query};
			place += decode(place, data, (size_t) ((sign ? sign : stop) - data), true) + 1;
			pair->value = place;
			pair->length = sign ? decode(place, sign + 1, (size_t) (stop - sign - 1), true) : 0;
			place[pair->length] = '\0';
			place += pair->length + 1;
			pair->utf8 = valid_utf8(pair->name, strlen(pair->name)) && valid_utf8(pair->value, pair->length);
		}
		data = stop + 1;
	}
	return place;
}

/* Decodes query and, if asked, the body as a form; the path's values come later. */
void
request_decode(Request *request, bool form)
{
	size_t query_length = strlen(request->query);
	size_t length = 2 * (query_length + strlen(request->path) + 2 * MAX_SEGMENTS);
	char *place;

	free(request->decoded);
	request->pair_count = 0;
	/* Decoding never lengthens, but each name and value gets a NUL. */
	if (form)
		length += 2 * request->body.length + 2;
	request->decoded = must_allocate(length + 16);
	place = request->decoded + strlen(request->path) + 2 * MAX_SEGMENTS;
	place = cut_pairs(request, request->query, query_length, true, place);
	if (form && request->body.length > 0)
		cut_pairs(request, request->body.data, request->body.length, false, place);
}

/* Whether the path's segments fit a route; takes their values over if so. */
static bool
fits_route(Request *request, const Route *route, const char **segments, const size_t *lengths)
{
	int values = 0;
	char *place = request->decoded;

	for (int i = 0; i < route->count; i++)
		if (route->segments[i] != NULL &&
			(strlen(route->segments[i]) != lengths[i] || memcmp(route->segments[i], segments[i], lengths[i]) != 0))
			return false;
	for (int i = 0; i < route->count; i++)
	{
		size_t length;

		if (route->segments[i] != NULL)
			continue;
		length = decode(place, segments[i], lengths[i], false);
		if (length == 0 || !valid_utf8(place, length))
			return false;
		request->values[values++] = place;
		place += length + 1;
	}
	return true;
}

/* Finds the route of the path; false if there is none. */
static bool
find_route(Request *request)
{
	const char *segments[MAX_SEGMENTS];
	size_t lengths[MAX_SEGMENTS];
	int count = 0;

	for (const char *rest = request->path; *rest == '/'; count++)
	{
		if (count == MAX_SEGMENTS)
			return false;
		segments[count] = ++rest;
		rest += lengths[count] = strcspn(rest, "/");
	}
	for (int i = 0; i < facts_route_count(); i++)
	{
		const Route *route = &facts_routes()[i];

		if (route->count == count && fits_route(request, route, segments, lengths))
		{
			request->route = route;
			return true;
		}
	}
	return false;
}

/* Decodes the request, and finds the operation that it is for, if there is one. */
void
request_identify(Request *request)
{
	static const char *const methods[METHOD_COUNT] = {"GET", "POST", "DELETE"};

	request_decode(request,
				   strcmp(request->method, "POST") == 0 && !request_has_media_type(request, "application/json"));
	if (!find_route(request))
		return;
	for (int i = 0; i < METHOD_COUNT; i++)
		if (strcmp(request->method, methods[i]) == 0)
			request->operation = request->route->operations[i];
}

/*
 * Finds scheme and host for the answer's URLs; a strange Host is not repeated.
 * A proxy that speaks https for us says so. The service itself names its plain
 * host whatever it was asked as, and so does the simulator where it is told to.
 */
void
request_find_base(Request *request, bool tls, int port)
{
	const char *forwarded = request_header(request, "X-Forwarded-Proto");
	const char *scheme = tls || (forwarded != NULL && strcasecmp(forwarded, "https") == 0) ? "https" : "http";
	const char *host = request_header(request, "Host");

	if (options.public_urls)
		snprintf(request->base, sizeof(request->base), "https://flex-api.twilio.com");
	else if (host != NULL && *host != '\0' && strlen(host) < 256 &&
			 strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-_[]") == strlen(host))
		snprintf(request->base, sizeof(request->base), "%s://%s%s", scheme, host, request->prefix);
	else
		snprintf(request->base, sizeof(request->base), "%s://127.0.0.1:%d%s", scheme, port, request->prefix);
}

/* The last parameter of that name from query or form, or NULL. */
const Pair *
request_pair(const Request *request, const char *name, bool query)
{
	for (size_t i = request->pair_count; i-- > 0;)
		if (request->pairs[i].query == query && strcmp(request->pairs[i].name, name) == 0)
			return &request->pairs[i];
	return NULL;
}
