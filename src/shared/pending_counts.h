/*
 * pending_counts.h
 *		How many requests each role has waiting in an outbox: an upper bound.
 */
#ifndef FLEX_PENDING_COUNTS_H
#define FLEX_PENDING_COUNTS_H

#include "shared/segment.h"

typedef struct PendingKey
{
	Oid database;
	Oid table;   /* flex_outbox_requests of that database */
	int role_id; /* the role's number in flex_outbox_roles */
} PendingKey;

/* The last count of a role's requests, and what has been added since it began. */
typedef struct PendingCount
{
	int64 counted;  /* requests that were waiting when they were counted */
	int64 most;     /* counting stopped at this number; -1: they have not been counted */
	int64 added;    /* requests since the count began, some of which may have been sent or rolled back */
	int64 first_id; /* the highest id when they were counted */
	int64 last_id;  /* the highest id that is known now */
	int64 at_ms;    /* flex_clock_ms() when they were counted */
	int64 took_ms;  /* how long counting took */
	uint64 number;  /* serial number of this count; 0: none */
	int64 before;   /* requests that had been added to the place when the count began */
} PendingCount;

extern Segment flex_pending_counts_segment;

extern bool flex_pending_counts_find(const PendingKey *key, PendingCount *count, bool *is_shared);
extern void flex_pending_counts_begin(const PendingKey *key, PendingCount *count);
extern void flex_pending_counts_note(const PendingKey *key, PendingCount *count);
extern void flex_pending_counts_add(const PendingKey *key, int64 requests, int64 last_id);

#endif /* FLEX_PENDING_COUNTS_H */
