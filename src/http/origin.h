/*
 * origin.h
 *		The origin of the service: scheme, host, port and path prefix.
 */
#ifndef FLEX_ORIGIN_H
#define FLEX_ORIGIN_H

extern char *flex_origin_of_url(const char *url);
extern char *flex_origin_of_region(const char *region, const char *edge, int code, const char *where);

#endif /* FLEX_ORIGIN_H */
