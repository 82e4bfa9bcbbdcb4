/*
 * ordered_rows.h
 *		Requests with an ordering key: which one of a key is sent, and which is next.
 */
#ifndef FLEX_ORDERED_ROWS_H
#define FLEX_ORDERED_ROWS_H

#include "datatype/timestamp.h"

#include "outbox/waiting_rows.h"

/* A request with an ordering key, which is its role's. */
typedef struct OrderedRequest
{
	int role_id;
	const char *key;
	int64 id;
} OrderedRequest;

/* What has become of keys of which a request came to its end. */
typedef struct WokenKeys
{
	LaterKey *requests; /* the next ones, which wait for no other any more */
	int count;
	TimestampTz last_at; /* of the last key that was looked at; 0: there was none */
	bool may_be_more;
} WokenKeys;

extern void flex_ordered_add(const OrderedRequest *requests, int count);
extern bool flex_ordered_try_lock(const OrderedRequest *request);
extern int64 *flex_ordered_begin(const OrderedRequest *requests, int count, int *begun);
extern void flex_ordered_end(const OrderedRequest *requests, int count);
extern WokenKeys flex_ordered_wake(TimestampTz from);
extern bool flex_ordered_has_freed(void);
extern void flex_ordered_discard(void);

#endif /* FLEX_ORDERED_ROWS_H */
