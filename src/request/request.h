/*
 * request.h
 *		An HTTP request, made of an operation and its arguments.
 */
#ifndef FLEX_REQUEST_H
#define FLEX_REQUEST_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "request/arguments.h"
#include "shared/way.h"

/*
 * A request, without the host and the credentials.  All of it is UTF-8 and
 * lives in the context that was current when it was made.
 */
typedef struct HttpRequest
{
	const char *operation;     /* name of the SQL function that has described it; lasts as long as the process */
	const char *path_template; /* the path with {Word} for each argument; NULL: the whole of it was an argument */
	Way way;                   /* that it goes; what is made is a call, until the caller says otherwise */
	const char *service;       /* first label of the host */
	const char *method;
	char *path;               /* encoded, without query: fit for messages */
	StringInfoData target;    /* path and query, encoded */
	const char *content_type; /* NULL: no body */
	StringInfoData body;
	List *headers;              /* of char *: "Name: value", or "Name;" for an empty one */
	const char *key;            /* member of its answer that names the resource */
	bool authorized;            /* a header has the credentials already */
	bool idempotent;            /* may be sent again without harm */
	const Operation *counts_as; /* whose rate it has */
	MemoryContextCallback erase;
} HttpRequest;

extern HttpRequest *
flex_request_build(const Operation *operation, const Parameter *parameters, int count, const NullableDatum *values);
extern HttpRequest *flex_request_plain(const char *method, const char *target);
extern const char *flex_request_shown_path(const HttpRequest *request);
extern const char *flex_request_page_target(const HttpRequest *previous, const char *origin, const char *url);
extern HttpRequest *flex_request_follow(const HttpRequest *previous, const char *origin, const char *url);
extern HttpRequest *flex_request_follow_token(const HttpRequest *previous, const char *parameter, const char *token);
extern void flex_request_add_query(HttpRequest *request, const char *name, const char *value);
extern void flex_request_begin_form(HttpRequest *request);
extern void flex_request_add_form(HttpRequest *request, const char *name, const char *value);
extern void flex_request_add_header(HttpRequest *request, const char *name, const char *value);
extern void flex_request_set_json(HttpRequest *request, const char *json);
extern void flex_request_check_size(const HttpRequest *request);

#endif /* FLEX_REQUEST_H */
