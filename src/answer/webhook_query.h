/*
 * webhook_query.h
 *		Parses the query of a webhook's URL, and rewrites it as Node.js does.
 */
#ifndef FLEX_WEBHOOK_QUERY_H
#define FLEX_WEBHOOK_QUERY_H

extern char *flex_webhook_query_value(const char *url, const char *name);
extern char *flex_webhook_query_rewritten(const char *url);

#endif /* FLEX_WEBHOOK_QUERY_H */
