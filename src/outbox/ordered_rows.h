/*
 * ordered_rows.h
 *		Requests with an ordering key: which request of a key may be sent, and which is next.
 */
#ifndef FLEX_ORDERED_ROWS_H
#define FLEX_ORDERED_ROWS_H

#include "datatype/timestamp.h"

#include "outbox/waiting_rows.h"

/* A request with an ordering key.  Each role has its own keys. */
typedef struct OrderedRequest
{
	int role_id;
	const char *key;
	int64 id;
} OrderedRequest;

/* The result of flex_ordered_wake(). */
typedef struct WokenKeys
{
	LaterKey *requests; /* the next requests of the keys, as inserted into flex_outbox_later */
	int count;
	TimestampTz last_at; /* of the last row of flex_outbox_freed_keys that was processed; 0: there was none */
	bool may_be_more;    /* the limit was reached */
} WokenKeys;

extern void flex_ordered_add(const OrderedRequest *requests, int count);
extern bool flex_ordered_try_lock(const OrderedRequest *request);
extern int64 *flex_ordered_begin(const OrderedRequest *requests, int count, int *begun);
extern void flex_ordered_end(const OrderedRequest *requests, int count);
extern WokenKeys flex_ordered_wake(TimestampTz from);
extern bool flex_ordered_has_freed(void);
extern void flex_ordered_discard(void);

#endif /* FLEX_ORDERED_ROWS_H */
