/*
 * backoff.c
 *		How long to wait before what has failed is tried again.
 *
 * The limit doubles with each failure, up to a bound; the wait is a random share
 * of it, so that those that failed together do not come back together.
 */
#include "postgres.h"

#include "common/pg_prng.h"

#include "base/backoff.h"

#define MOST_DOUBLINGS 20

/* Milliseconds: the limit after the first failure, and its bound. */
static const struct
{
	int64 first;
	int64 most;
} limits[] = {
	[BACKOFF_CALL] = {100, 3000},
	[BACKOFF_OUTBOX] = {1000, 10 * 60 * 1000},
	[BACKOFF_CALLBACK] = {1000, 60 * 60 * 1000},
};

/* Milliseconds to wait before the next try, when so many had failed before the last one. */
int64
flex_backoff_ms(BackoffKind kind, int failures)
{
	int doublings = Min(Max(failures, 0), MOST_DOUBLINGS);
	int64 limit = Min(limits[kind].first << doublings, limits[kind].most);

	return (int64) (pg_prng_double(&pg_global_prng_state) * limit);
}
