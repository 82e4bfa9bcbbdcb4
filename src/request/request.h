/*
 * request.h
 *		Builds HTTP requests from operations and their arguments.
 */
#ifndef FLEX_REQUEST_H
#define FLEX_REQUEST_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "request/arguments.h"
#include "shared/way.h"

/*
 * A request, without the origin and the credentials.  All texts are UTF-8.  It is allocated
 * in the current memory context; strings that are "const" here are not owned by it.
 */
typedef struct HttpRequest
{
	const char *operation;     /* name of the SQL function that describes it; lives as long as the process */
	const char *path_template; /* the path with {Word} for each argument; NULL: the path itself was an argument */
	Way way;                   /* WAY_CALL, until the caller sets another one */
	const char *service;       /* product: first label of the host's name */
	const char *method;
	char *path;               /* encoded, without query; can be shown in messages */
	StringInfoData target;    /* path and query, encoded */
	const char *content_type; /* NULL: there is no body */
	StringInfoData body;
	List *headers;               /* char *: "Name: value", or "Name;" for an empty value */
	const char *key;             /* member of the answer that identifies the resource */
	bool authorized;             /* one of the headers is Authorization */
	bool idempotent;             /* may be sent again without harm */
	const Operation *counts_as;  /* whose rate it uses */
	MemoryContextCallback erase; /* erases the headers, if authorized */
} HttpRequest;

extern HttpRequest *
flex_request_build(const Operation *operation, const Parameter *parameters, int count, const NullableDatum *values);
extern HttpRequest *flex_request_plain(const char *method, const char *target);
extern const char *flex_request_shown_path(const HttpRequest *request);
extern const char *flex_request_page_target(const HttpRequest *previous, const char *origin, const char *url);
extern HttpRequest *flex_request_follow(const HttpRequest *previous, const char *origin, const char *url);
extern HttpRequest *flex_request_follow_path(const HttpRequest *previous, const char *origin, const char *path);
extern HttpRequest *flex_request_follow_token(const HttpRequest *previous, const char *parameter, const char *token);
extern void flex_request_add_query(HttpRequest *request, const char *name, const char *value);
extern void flex_request_begin_form(HttpRequest *request);
extern void flex_request_add_form(HttpRequest *request, const char *name, const char *value);
extern void flex_request_add_header(HttpRequest *request, const char *name, const char *value);
extern void flex_request_set_json(HttpRequest *request, const char *json);
extern void flex_request_check_size(const HttpRequest *request);

#endif /* FLEX_REQUEST_H */
