/*
 * curl_options.h
 *		Sets the options of libcurl's easy handles.
 */
#ifndef FLEX_CURL_OPTIONS_H
#define FLEX_CURL_OPTIONS_H

#include "http/endpoint.h"
#include "http/parsed_origin.h"
#include "request/request.h"

struct curl_slist;

/* What an easy handle refers to, so that it must be freed after the handle. */
typedef struct HandleInputs
{
	ParsedOrigin *origin;
	struct curl_slist *headers; /* contain the credentials */
} HandleInputs;

/* Why a request was not sent. */
typedef enum UnsentCause
{
	UNSENT_OTHERWISE,
	UNSENT_NOT_TRUSTED,  /* the server's certificate could not be verified */
	UNSENT_NOT_RESOLVED, /* the server's host name could not be resolved */
	UNSENT_NO_PROXY,     /* the proxy cannot be reached, or refuses */
	UNSENT_NO_DESCRIPTOR /* this process has no file descriptor left */
} UnsentCause;

/* Set an option of an easy handle, or raise an error. */
#define FLEX_CURL_SET(easy, option, value) flex_curl_check(curl_easy_setopt((easy), (option), (value)))

extern void flex_curl_check(int result);
extern UnsentCause flex_curl_unsent_cause(void *easy, int result, bool has_proxy, const char *failure);
extern bool flex_curl_has_undecoded(void *easy);
extern const char *flex_curl_authorities(const Endpoint *endpoint);
extern bool flex_curl_trust_file(void *easy, int result, bool has_proxy, bool *by_directory);
extern bool flex_curl_reads_ahead(const Endpoint *endpoint, long timeout_ms);
extern void *flex_curl_ssl(void *easy);
extern void flex_curl_watch_surplus(void *easy);
extern bool flex_curl_set_options(void *easy, const HttpRequest *request, const Endpoint *endpoint, long timeout_ms,
								  HandleInputs *inputs);
extern void flex_curl_free_inputs(HandleInputs *inputs);

#endif /* FLEX_CURL_OPTIONS_H */
