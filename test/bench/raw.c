/*
 * raw.c
 *	  What the raw programs share: a kept handle, an answer's body, their cost.
 *
 * This is libcurl as its manual has one use it: one easy handle for all
 * requests, so that the connection, and over TLS the session, are kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "raw.h"

/* Say what is wrong, and end. */
void
raw_fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

/* [-H HEADER]... [-c CA_FILE] [-p] [-b BODIES] [-n CONCURRENCY] URL [COUNT]; -p: no directory of certificates. */
RawOptions
raw_options(int argc, char **argv)
{
	RawOptions options = {.concurrency = 1};
	int option;

	while ((option = getopt(argc, argv, "H:c:pb:n:")) != -1)
	{
		if (option == 'H')
			options.headers = curl_slist_append(options.headers, optarg);
		else if (option == 'c')
			options.ca_file = optarg;
		else if (option == 'p')
			options.without_capath = 1;
		else if (option == 'b')
			options.bodies = optarg;
		else if (option == 'n')
			options.concurrency = atoi(optarg);
		else
			exit(2);
	}
	if (optind >= argc)
		raw_fail(argv[0], "a URL is needed");
	options.url = argv[optind++];
	if (optind < argc)
		options.count = atol(argv[optind]);
	return options;
}

/* libcurl has bytes of the body. */
static size_t
receive(char *bytes, size_t size, size_t count, void *data)
{
	RawBody *body = data;
	size_t length = size * count;

	if (body->length + length > body->room)
	{
		body->room = 2 * (body->length + length);
		body->bytes = realloc(body->bytes, body->room);
		if (body->bytes == NULL)
			return 0;
	}
	memcpy(body->bytes + body->length, bytes, length);
	body->length += length;
	return length;
}

/* A handle for all requests; whatever is not said here is libcurl's default. */
CURL *
raw_handle(const RawOptions *options, RawBody *body)
{
	CURL *handle;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (handle = curl_easy_init()) == NULL)
		raw_fail("libcurl", "out of memory");
	curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(handle, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(handle, CURLOPT_HTTPHEADER, options->headers);
	curl_easy_setopt(handle, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(handle, CURLOPT_PROXY, "");
	curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
	if (options->ca_file != NULL)
		curl_easy_setopt(handle, CURLOPT_CAINFO, options->ca_file);
	if (options->without_capath)
		curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);
	return handle;
}

/* End the program unless a request has had the expected status. */
void
raw_check(CURL *handle, CURLcode result, int expected)
{
	long status = 0;

	if (result != CURLE_OK)
		raw_fail("libcurl", curl_easy_strerror(result));
	curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
	if (status != expected)
		raw_fail("the server", "answered with another status");
}

/* Fetch a URL, or the one before where it is NULL; ends the program unless it answers 200. */
void
raw_get(CURL *handle, const char *url, RawBody *body)
{
	if (url != NULL)
		curl_easy_setopt(handle, CURLOPT_URL, url);
	body->length = 0;
	raw_check(handle, curl_easy_perform(handle), 200);
}

/* Parse the body, which must be an object; ends the program otherwise. */
json_object *
raw_parse(json_tokener *tokener, const RawBody *body)
{
	json_object *object;

	json_tokener_reset(tokener);
	object = json_tokener_parse_ex(tokener, body->bytes, (int) body->length);
	if (!json_object_is_type(object, json_type_object))
		raw_fail("the answer", "is no JSON object");
	return object;
}

/* A client as the command line has it; the handle keeps a pointer into it. */
void
raw_open(RawClient *client, int argc, char **argv)
{
	*client = (RawClient){.options = raw_options(argc, argv)};
	client->handle = raw_handle(&client->options, &client->body);
	client->tokener = json_tokener_new();
}

/* Now, on the clocks of the wall and of this process. */
RawCost
raw_cost_now(void)
{
	struct timespec now;
	struct rusage usage;

	clock_gettime(CLOCK_MONOTONIC, &now);
	getrusage(RUSAGE_SELF, &usage);
	return (RawCost){
		.wall = now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000,
		.cpu = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) + usage.ru_utime.tv_usec +
			   usage.ru_stime.tv_usec,
	};
}

/* The line that the benchmark reads: microseconds of wall clock and of CPU. */
void
raw_print_cost(RawCost start)
{
	RawCost now = raw_cost_now();

	printf("%lld %lld\n", (long long) (now.wall - start.wall), (long long) (now.cpu - start.cpu));
}
