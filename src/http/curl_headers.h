/*
 * curl_headers.h
 *		The headers of a request.
 */
#ifndef FLEX_CURL_HEADERS_H
#define FLEX_CURL_HEADERS_H

#include "http/endpoint.h"
#include "request/request.h"

struct curl_slist;

#define FLEX_USER_AGENT "flex_api/" FLEX_API_VERSION " (PostgreSQL " PG_MAJORVERSION ")"

extern const char *flex_curl_encodings(void);
extern void flex_curl_make_headers(struct curl_slist **headers, const HttpRequest *request, const Endpoint *endpoint,
								   bool may_be_encoded);
extern void flex_curl_free_headers(struct curl_slist *headers);

#endif /* FLEX_CURL_HEADERS_H */
