/*
 * pending_counts.h
 *		How many requests of each role wait in an outbox, for all we know.
 */
#ifndef FLEX_PENDING_COUNTS_H
#define FLEX_PENDING_COUNTS_H

#include "shared/segment.h"

/* A role of an outbox. */
typedef struct PendingKey
{
	Oid database;
	Oid table; /* of the outbox's requests */
	int role_id;
} PendingKey;

/* What is known of it. */
typedef struct PendingCount
{
	int64 counted;  /* requests that waited then */
	int64 most;     /* it was not counted any further */
	int64 added;    /* requests since that began, some of which may have been sent or rolled back */
	int64 first_id; /* the last id when they were counted */
	int64 last_id;  /* the last one that is known of */
	int64 at_ms;    /* flex_clock_ms() when they were counted */
	int64 took_ms;
	uint64 number; /* of this count */
	int64 before;  /* requests that had been added to this place when it began */
} PendingCount;

extern Segment flex_pending_counts_segment;

extern bool flex_pending_counts_find(const PendingKey *key, PendingCount *count, bool *is_shared);
extern void flex_pending_counts_begin(const PendingKey *key, PendingCount *count);
extern void flex_pending_counts_note(const PendingKey *key, PendingCount *count);
extern void flex_pending_counts_add(const PendingKey *key, int64 requests, int64 last_id);

#endif /* FLEX_PENDING_COUNTS_H */
