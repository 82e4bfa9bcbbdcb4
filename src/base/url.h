/*
 * url.h
 *		Validates paths and queries of URLs.
 */
#ifndef FLEX_URL_H
#define FLEX_URL_H

extern char *flex_url_for_service(const char *url, const char *service);
extern bool flex_url_has_service(const char *url);
extern bool flex_url_part_is_good(const char *text);
extern bool flex_url_target_is_good(const char *target);
extern bool flex_url_is_unbroken(const char *text);
extern const char *flex_url_path(const char *url);
extern const char *flex_url_target(const char *url);

#endif /* FLEX_URL_H */
