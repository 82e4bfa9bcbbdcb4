/*
 * roster.h
 *		Shared memory: which database has a worker, and whom to wake.
 */
#ifndef FLEX_ROSTER_H
#define FLEX_ROSTER_H

#include "storage/s_lock.h"
#include "storage/spin.h"

#include "operations.h"

/* A token bucket: how much of a rate is left. */
typedef struct Bucket
{
	double tokens;
	int64 filled_at; /* microseconds; 0: never used */
} Bucket;

/* The buckets of all operations, shared by all sessions where we are preloaded. */
typedef struct Buckets
{
	slock_t lock;
	Bucket buckets[MAX_OPERATIONS];
} Buckets;

extern void flex_roster_request(void);
extern bool flex_roster_exists(void);
extern Buckets *flex_roster_buckets(void);

extern bool flex_roster_was_woken(void);
extern void flex_roster_wake(Oid database);
extern void flex_roster_sign_on_launcher(void);
extern bool flex_roster_sign_on_worker(void);
extern void flex_roster_close(Oid database);
extern Oid flex_roster_next_to_start(void);
extern long flex_roster_pause_ms(void);
extern bool flex_roster_bar(Oid database, bool barred);
extern bool flex_roster_is_barred(void);
extern pid_t flex_roster_worker(Oid database);

#endif /* FLEX_ROSTER_H */
