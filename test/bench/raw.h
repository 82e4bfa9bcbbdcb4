/*
 * raw.h
 *	  What the raw programs share: a kept handle, an answer's body, their cost.
 */
#ifndef RAW_H
#define RAW_H

#include <curl/curl.h>
#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

/* What the command line said. */
typedef struct RawOptions
{
	struct curl_slist *headers;
	const char *ca_file;
	int without_capath;
	const char *bodies; /* name of a file with a request's body a line */
	int concurrency;
	const char *url;
	long count; /* of requests; 0 where none was given */
} RawOptions;

/* The body of the last answer; the room stays from one to the next. */
typedef struct RawBody
{
	char *bytes;
	size_t length;
	size_t room;
} RawBody;

/* What a program that fetches one thing after the other needs. */
typedef struct RawClient
{
	RawOptions options;
	RawBody body;
	CURL *handle;
	json_tokener *tokener;
} RawClient;

/* Time since a starting point, in microseconds. */
typedef struct RawCost
{
	int64_t wall;
	int64_t cpu;
} RawCost;

_Noreturn void raw_fail(const char *what, const char *why);
RawOptions raw_options(int argc, char **argv);
CURL *raw_handle(const RawOptions *options, RawBody *body);
void raw_check(CURL *handle, CURLcode result, int expected);
void raw_get(CURL *handle, const char *url, RawBody *body);
json_object *raw_parse(json_tokener *tokener, const RawBody *body);
void raw_open(RawClient *client, int argc, char **argv);
RawCost raw_cost_now(void);
void raw_print_cost(RawCost start);

#endif
