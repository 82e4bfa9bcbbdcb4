/*
 * parsed_origin.h
 *		Scheme, host and port of a server, parsed by libcurl once for many requests.
 */
#ifndef FLEX_PARSED_ORIGIN_H
#define FLEX_PARSED_ORIGIN_H

typedef struct ParsedOrigin ParsedOrigin;

extern ParsedOrigin *flex_parsed_origin_acquire(const char *text, size_t length);
extern void flex_parsed_origin_release(ParsedOrigin *origin);

extern const char *flex_parsed_origin_text(const ParsedOrigin *origin);
extern void *flex_parsed_origin_parts(const ParsedOrigin *origin);

#endif /* FLEX_PARSED_ORIGIN_H */
