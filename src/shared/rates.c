/*
 * rates.c
 *		Token buckets: how much of a rate is left.
 *
 * The buckets are in shared memory where we are preloaded, so that all sessions
 * together keep a rate; else each session keeps it by itself.  A bucket holds a
 * tenth of a second's tokens, and one at least: what is taken in any second stays
 * close to the rate, also after a pause.
 *
 * A key has its bucket in the set that its hash names; where all of a set are taken,
 * the one that was used least recently is given to the new key, full.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "storage/spin.h"

#include "base/clock.h"
#include "shared/rates.h"

#define SETS 256
#define BUCKETS_PER_SET 8

typedef struct Bucket
{
	RateKey key;
	double tokens;
	int64 filled_at; /* flex_clock_us(); 0: never used */
} Bucket;

struct Rates
{
	slock_t lock;
	Bucket buckets[SETS][BUCKETS_PER_SET];
};

static Rates *shared;
static Rates local;

/* Bytes of shared memory that the buckets take. */
Size
flex_rates_size(void)
{
	return MAXALIGN(sizeof(Rates));
}

/* Use the shared memory, which is_new says to be zeroes still. */
void
flex_rates_set_up(Rates *memory, bool is_new)
{
	shared = memory;
	if (is_new)
		SpinLockInit(&shared->lock);
}

static Rates *
rates(void)
{
	static bool is_set_up = false;

	if (shared != NULL)
		return shared;
	if (!is_set_up)
		SpinLockInit(&local.lock);
	is_set_up = true;
	return &local;
}

/* The bucket of a key, full if it is new.  The lock is held. */
static Bucket *
find_bucket(Rates *all, RateKey key)
{
	uint32 hash = hash_combine(murmurhash32((uint32) key.operation), (uint32) (key.account ^ (key.account >> 32)));
	Bucket *set = all->buckets[hash % SETS];
	Bucket *oldest = set;

	for (int i = 0; i < BUCKETS_PER_SET; i++)
	{
		Bucket *bucket = &set[i];

		if (bucket->filled_at != 0 && bucket->key.account == key.account && bucket->key.operation == key.operation)
			return bucket;
		if (bucket->filled_at < oldest->filled_at)
			oldest = bucket;
	}
	*oldest = (Bucket){.key = key};
	return oldest;
}

/* Bring a bucket up to date.  The lock is held. */
static void
fill(Bucket *bucket, double rate, int64 now)
{
	double most = Max(1.0, rate / 10);

	if (bucket->filled_at == 0)
		bucket->tokens = most;
	else
		bucket->tokens = Min(most, bucket->tokens + rate * (now - bucket->filled_at) / 1e6);
	bucket->filled_at = now;
}

/* How many of the wanted tokens there are, at a rate per second; they are taken. */
int
flex_rates_take(RateKey key, double rate, int wanted)
{
	int64 now = flex_clock_us();
	Rates *all = rates();
	Bucket *bucket;
	int granted;

	Assert(rate > 0 && wanted >= 0);
	SpinLockAcquire(&all->lock);
	bucket = find_bucket(all, key);
	fill(bucket, rate, now);
	granted = Min(wanted, (int) bucket->tokens);
	bucket->tokens -= granted;
	SpinLockRelease(&all->lock);
	return granted;
}

/* Some of what was taken was not used after all. */
void
flex_rates_give_back(RateKey key, int count)
{
	Rates *all = rates();

	SpinLockAcquire(&all->lock);
	find_bucket(all, key)->tokens += count;
	SpinLockRelease(&all->lock);
}

/* Milliseconds until there is a token, at a rate per second. */
int64
flex_rates_wait_ms(RateKey key, double rate)
{
	Rates *all = rates();
	Bucket *bucket;
	double tokens;

	Assert(rate > 0);
	SpinLockAcquire(&all->lock);
	bucket = find_bucket(all, key);
	tokens = bucket->filled_at != 0 ? bucket->tokens : 1;
	SpinLockRelease(&all->lock);
	return tokens >= 1 ? 0 : (int64) ((1 - tokens) / rate * 1000) + 1;
}
