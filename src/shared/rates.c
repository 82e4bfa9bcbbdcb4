/*
 * rates.c
 *		Token buckets: how much of a rate is left.
 *
 * The buckets are in shared memory where we are preloaded, so that all sessions
 * together keep a rate; else each session keeps it by itself.  A bucket holds a
 * tenth of a second's tokens, and one at least: what is taken in any second stays
 * close to the rate, also after a pause.
 */
#include "postgres.h"

#include "storage/spin.h"

#include "base/clock.h"
#include "shared/rates.h"

typedef struct Bucket
{
	double tokens;
	int64 filled_at; /* flex_clock_us(); 0: never used */
} Bucket;

struct Rates
{
	slock_t lock;
	Bucket buckets[FLEX_RATES_CAPACITY];
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
flex_rates_take(int index, double rate, int wanted)
{
	int64 now = flex_clock_us();
	Rates *all = rates();
	int granted;

	Assert(index >= 0 && index < FLEX_RATES_CAPACITY && rate > 0);
	SpinLockAcquire(&all->lock);
	fill(&all->buckets[index], rate, now);
	granted = Min(wanted, (int) all->buckets[index].tokens);
	all->buckets[index].tokens -= granted;
	SpinLockRelease(&all->lock);
	return granted;
}

/* Some of what was taken was not used after all. */
void
flex_rates_give_back(int index, int count)
{
	Rates *all = rates();

	Assert(index >= 0 && index < FLEX_RATES_CAPACITY);
	SpinLockAcquire(&all->lock);
	all->buckets[index].tokens += count;
	SpinLockRelease(&all->lock);
}

/* Milliseconds until there is a token, at a rate per second. */
int64
flex_rates_wait_ms(int index, double rate)
{
	Rates *all = rates();
	double tokens;

	Assert(index >= 0 && index < FLEX_RATES_CAPACITY && rate > 0);
	SpinLockAcquire(&all->lock);
	tokens = all->buckets[index].tokens;
	SpinLockRelease(&all->lock);
	return tokens >= 1 ? 0 : (int64) ((1 - tokens) / rate * 1000) + 1;
}
