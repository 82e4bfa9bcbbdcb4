/*
 * curl_options.h
 *		What a request is to libcurl: the options of an easy handle.
 */
#ifndef FLEX_CURL_OPTIONS_H
#define FLEX_CURL_OPTIONS_H

#include "http/endpoint.h"
#include "request/request.h"

struct curl_slist;

/* Set an option of an easy handle, or raise. */
#define FLEX_CURL_SET(easy, option, value) flex_curl_check(curl_easy_setopt((easy), (option), (value)))

extern void flex_curl_check(int result);
extern void flex_curl_set_options(void *easy, const HttpRequest *request, const Endpoint *endpoint, long timeout_ms);
extern void
flex_curl_set_headers(void *easy, const HttpRequest *request, const Endpoint *endpoint, struct curl_slist **headers);

#endif /* FLEX_CURL_OPTIONS_H */
