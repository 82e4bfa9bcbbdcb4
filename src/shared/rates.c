/*
 * rates.c
 *		How many requests may be sent: by the limits that are set, and as the service lets through.
 *
 * Each account and operation has a bucket of tokens, by a limit that is set, and a pace,
 * by what the service refuses.  They are in shared memory where there is some (where we
 * are preloaded, and from 17 on anywhere), so that all sessions together keep a rate; else
 * each session keeps it by itself.  A bucket holds a tenth of a second's tokens, and one
 * at least: what is taken in any second stays close to the limit, also after a pause.
 *
 * A key has its bucket in the set that its hash names; where all of a set are taken,
 * the one that was used least recently is given to the new key, full.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/spin.h"

#include "base/clock.h"
#include "base/compat.h"
#include "shared/pace.h"
#include "shared/rates.h"

#define SETS 256
#define BUCKETS_PER_SET 8

#define US_PER_MS 1000

typedef struct Bucket
{
	RateKey key;
	int64 used_at; /* flex_clock_us(); 0: never */
	double tokens; /* by the limit */
	int64 filled_at;
	double spent; /* of them, by calls that did not ask, since then */
	int64 throttled;
	Pace pace;
} Bucket;

typedef struct BucketSet
{
	slock_t lock;
	Bucket buckets[BUCKETS_PER_SET];
} BucketSet;

struct Rates
{
	BucketSet sets[SETS];
};

static Rates *rates; /* NULL: not looked for yet */

/* Bytes of shared memory that the buckets take. */
Size
flex_rates_size(void)
{
	return MAXALIGN(sizeof(Rates));
}

static void
begin_rates(Rates *new_rates)
{
	memset(new_rates, 0, sizeof(Rates));
	for (int i = 0; i < SETS; i++)
		SpinLockInit(&new_rates->sets[i].lock);
}

/* Use the shared memory, which is new or in use already. */
void
flex_rates_set_up(Rates *memory, bool is_new)
{
	rates = memory;
	if (is_new)
		begin_rates(rates);
}

FLEX_NAMED_SEGMENT_CALLBACK(begin_segment, begin_rates)

/* Find the memory where we are not preloaded: shared, if the server has a way to it. */
static void
find_memory(void)
{
	static Rates own;

	if (IsUnderPostmaster)
		rates = flex_named_segment("flex_api rates", flex_rates_size(), begin_segment);
	if (rates != NULL)
		return;
	begin_rates(&own);
	rates = &own;
}

/* What an account's use of an operation is known by. */
RateKey
flex_rates_key(const char *account, int operation)
{
	RateKey key = {
		.account = hash_bytes_extended((const unsigned char *) account, strlen(account), 0),
		.operation = operation,
	};

	strlcpy(key.name, account, sizeof(key.name));
	return key;
}

/* The set that a key's bucket is in. */
static BucketSet *
set_of(RateKey key)
{
	uint32 hash = hash_combine(murmurhash32((uint32) key.operation), (uint32) (key.account ^ (key.account >> 32)));

	if (rates == NULL)
		find_memory();
	return &rates->sets[hash % SETS];
}

/* The bucket of a key, which is used now.  The set's lock is held. */
static Bucket *
use_bucket(BucketSet *set, RateKey key, int64 now)
{
	Bucket *oldest = set->buckets;

	for (int i = 0; i < BUCKETS_PER_SET; i++)
	{
		Bucket *bucket = &set->buckets[i];

		if (bucket->used_at != 0 && bucket->key.account == key.account && bucket->key.operation == key.operation)
		{
			bucket->used_at = now;
			return bucket;
		}
		if (bucket->used_at < oldest->used_at)
			oldest = bucket;
	}
	*oldest = (Bucket){.key = key, .used_at = now};
	return oldest;
}

/* Bring the tokens up to date that a limit gives. */
static void
fill(Bucket *bucket, double limit, int64 now)
{
	double most = Max(1.0, limit / 10);

	/* A process that had to wait for its processor comes with an old time. */
	now = Max(now, bucket->filled_at);
	if (bucket->filled_at == 0)
		bucket->tokens = most;
	else
		bucket->tokens = Min(most, bucket->tokens + limit * (now - bucket->filled_at) / 1e6);
	/* What calls have spent delays others, but by a second at most. */
	bucket->tokens = Max(bucket->tokens - bucket->spent, Min(bucket->tokens, -limit));
	bucket->spent = 0;
	bucket->filled_at = now;
}

/* Take of a bucket's tokens as many as are wanted, and are there. */
static int
take(Bucket *bucket, double limit, int wanted, int64 now)
{
	int granted = wanted;

	if (limit != NO_RATE_LIMIT)
	{
		fill(bucket, limit, now);
		granted = Min(granted, (int) Max(bucket->tokens, 0));
	}
	granted = flex_pace_take(&bucket->pace, granted, now);
	if (limit != NO_RATE_LIMIT)
		bucket->tokens -= granted;
	return granted;
}

/* How many of the wanted tokens there are, at a limit per second; they are taken. */
int
flex_rates_take(RateKey key, double limit, int wanted)
{
	int64 now = flex_clock_us();
	BucketSet *set = set_of(key);
	int granted;

	Assert(limit >= 0 && wanted >= 0);
	SpinLockAcquire(&set->lock);
	granted = take(use_bucket(set, key, now), limit, wanted, now);
	SpinLockRelease(&set->lock);
	return granted;
}

/* Some of what was taken was not used after all. */
void
flex_rates_give_back(RateKey key, int count)
{
	int64 now = flex_clock_us();
	BucketSet *set = set_of(key);
	Bucket *bucket;

	SpinLockAcquire(&set->lock);
	bucket = use_bucket(set, key, now);
	bucket->tokens += count;
	flex_pace_give_back(&bucket->pace, count, now);
	SpinLockRelease(&set->lock);
}

/* Milliseconds from now to a time, rounded up. */
static int64
ms_until(int64 at, int64 now)
{
	return at <= now ? 0 : (at - now) / US_PER_MS + 1;
}

/* Milliseconds until there is a token, at a limit per second. */
int64
flex_rates_wait_ms(RateKey key, double limit)
{
	int64 now = flex_clock_us();
	BucketSet *set = set_of(key);
	Bucket *bucket;
	Bucket copy;
	int64 turn_at;

	Assert(limit >= 0);
	SpinLockAcquire(&set->lock);
	bucket = use_bucket(set, key, now);
	if (limit != NO_RATE_LIMIT)
		fill(bucket, limit, now);
	copy = *bucket;
	SpinLockRelease(&set->lock);
	turn_at = flex_pace_next_at(&copy.pace, now);
	if (limit != NO_RATE_LIMIT && copy.tokens < 1)
		turn_at = Max(turn_at, now + (int64) ((1 - copy.tokens) / limit * 1e6));
	return ms_until(turn_at, now);
}

/* A call is sent that somebody waits for: no limit binds it, but others have to make room. */
void
flex_rates_spend(RateKey key)
{
	int64 now = flex_clock_us();
	BucketSet *set = set_of(key);
	Bucket *bucket;

	SpinLockAcquire(&set->lock);
	bucket = use_bucket(set, key, now);
	bucket->spent++;
	flex_pace_debit(&bucket->pace, now);
	SpinLockRelease(&set->lock);
}

/* True when a call may be sent now, as far as the service has let requests through; it counts as sent. */
bool
flex_rates_take_turn(RateKey key)
{
	int64 now = flex_clock_us();
	BucketSet *set = set_of(key);
	Bucket *bucket;
	bool has_turn;

	SpinLockAcquire(&set->lock);
	bucket = use_bucket(set, key, now);
	has_turn = flex_pace_take(&bucket->pace, 1, now) == 1;
	bucket->spent += has_turn ? 1 : 0;
	SpinLockRelease(&set->lock);
	return has_turn;
}

/* Milliseconds until a call may be sent. */
int64
flex_rates_turn_ms(RateKey key)
{
	return flex_rates_wait_ms(key, NO_RATE_LIMIT);
}

/* A request that was sent at that time was answered, and not with 429. */
void
flex_rates_note_passed(RateKey key, int64 sent_at)
{
	int64 now = flex_clock_us();
	BucketSet *set = set_of(key);

	SpinLockAcquire(&set->lock);
	flex_pace_note_passed(&use_bucket(set, key, now)->pace, sent_at, now);
	SpinLockRelease(&set->lock);
}

/* It was answered with 429, by a service that asks to be left alone for so long; 0: it does not say. */
void
flex_rates_note_refused(RateKey key, int64 sent_at, int64 pause_ms)
{
	int64 now = flex_clock_us();
	BucketSet *set = set_of(key);
	Bucket *bucket;

	SpinLockAcquire(&set->lock);
	bucket = use_bucket(set, key, now);
	bucket->throttled++;
	flex_pace_note_refused(&bucket->pace, sent_at, pause_ms * US_PER_MS, now);
	SpinLockRelease(&set->lock);
}

/* The service asks to be left alone for so long, whatever it has said besides. */
void
flex_rates_pause(RateKey key, int64 pause_ms)
{
	int64 now = flex_clock_us();
	BucketSet *set = set_of(key);

	SpinLockAcquire(&set->lock);
	flex_pace_pause(&use_bucket(set, key, now)->pace, pause_ms * US_PER_MS, now);
	SpinLockRelease(&set->lock);
}

/* True when nothing has got through for so long, or nothing will be let through for so long. */
bool
flex_rates_is_hopeless(RateKey key, int64 patience_ms)
{
	int64 now = flex_clock_us();
	BucketSet *set = set_of(key);
	const Pace *pace;
	bool is_hopeless;

	SpinLockAcquire(&set->lock);
	pace = &use_bucket(set, key, now)->pace;
	is_hopeless = (pace->refused_for != 0 && now - pace->refused_for > patience_ms * US_PER_MS) ||
				  pace->paused_until - now > patience_ms * US_PER_MS;
	SpinLockRelease(&set->lock);
	return is_hopeless;
}

/* How many rows there can be. */
int
flex_rates_capacity(void)
{
	return SETS * BUCKETS_PER_SET;
}

/* What is known of a key; false where there is none at that index. */
bool
flex_rates_read(int index, RateLimit limit, RateRow *row)
{
	int64 now = flex_clock_us();
	BucketSet *set;
	Bucket copy;
	double rate;

	Assert(index >= 0 && index < flex_rates_capacity());
	if (rates == NULL)
		find_memory();
	set = &rates->sets[index / BUCKETS_PER_SET];
	SpinLockAcquire(&set->lock);
	copy = set->buckets[index % BUCKETS_PER_SET];
	SpinLockRelease(&set->lock);
	if (copy.used_at == 0)
		return false;
	rate = flex_pace_rate(&copy.pace, now);
	*row = (RateRow){
		.key = copy.key,
		.learned_rate = rate < PACE_MOST_RATE ? rate : 0,
		.held_ms = ms_until(Max(copy.pace.paused_until, copy.pace.probe_at), now),
		.is_asked_to = copy.pace.paused_until >= copy.pace.probe_at,
		.throttled = copy.throttled,
	};
	row->sendable = limit(copy.key) < 0 ? 0 : take(&copy, limit(copy.key), PG_INT32_MAX, now);
	return true;
}
