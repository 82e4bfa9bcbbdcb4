/*
 * backoff.c
 *		Exponential backoff: how long to wait before the next attempt.
 *
 * A limit doubles with each failure, up to a maximum.  The wait is a random time below the
 * limit, so that requests that failed at the same time are not sent again at the same time.
 */
#include "postgres.h"

#include "common/pg_prng.h"

#include "base/backoff.h"

#define MOST_DOUBLINGS 20

/* The limit after the first failure, and its maximum, in milliseconds. */
static const struct
{
	int64 first;
	int64 most;
} limits[] = {
	[BACKOFF_CALL] = {100, 3000},
	[BACKOFF_OUTBOX] = {1000, 10 * 60 * 1000},
	[BACKOFF_CALLBACK] = {1000, 60 * 60 * 1000},
};

/* Return the milliseconds to wait before the next attempt.  failures does not count the one that has just failed. */
int64
flex_backoff_ms(BackoffKind kind, int failures)
{
	int doublings = Min(Max(failures, 0), MOST_DOUBLINGS);
	int64 limit = Min(limits[kind].first << doublings, limits[kind].most);

	return (int64) (pg_prng_double(&pg_global_prng_state) * limit);
}
