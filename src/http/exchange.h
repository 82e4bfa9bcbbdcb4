/*
 * exchange.h
 *		One request and its answer, including repeats where those are safe.
 */
#ifndef FLEX_EXCHANGE_H
#define FLEX_EXCHANGE_H

#include "http/traffic.h"

/*
 * An exchange is allocated in the memory context that was current when it was begun.  When
 * that context is reset or deleted, its connection is released and the credentials that it
 * has found are erased.
 */
typedef struct Exchange Exchange;

extern Exchange *flex_exchange_begin(const HttpRequest *request, const Endpoint *endpoint);
extern void flex_exchange_count(Exchange *exchange, Traffic *traffic);
extern bool flex_exchange_is_under_way(const Exchange *exchange);
extern void flex_exchange_abandon(Exchange *exchange);
extern bool flex_exchange_is_stale(const Exchange *exchange);
extern const Outcome *flex_exchange_advance(Exchange *exchange);
extern pgsocket flex_exchange_descriptor(Exchange *exchange);
extern const Outcome *flex_exchange_finish(Exchange *exchange);
extern void flex_exchange_count_rows(Exchange *exchange, int64 rows);
extern const char *flex_exchange_origin(const Exchange *exchange);

#endif /* FLEX_EXCHANGE_H */
