/*
 * rates.c
 *		Rate limiting: by the limits that are set, and by what the service accepts.
 *
 * Each pair of an account and an operation has a token bucket, filled at the limit that is
 * set (flex_api.rate_limits), and a Pace, which learns from the requests that the service
 * refuses.  Both are in shared memory if there is any (segment.c), so that all sessions
 * together keep the rate; otherwise each session keeps it for itself.  A bucket holds the
 * tokens of a tenth of a second, but at least one, so that the requests of any one second
 * stay close to the limit, even after an idle time.
 *
 * The buckets are a set-associative cache: a key's hash selects a set, and if all buckets
 * of the set are taken, the least recently used one is given to the new key, full.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "storage/spin.h"

#include "base/clock.h"
#include "shared/pace.h"
#include "shared/rates.h"

#define SETS 256
#define BUCKETS_PER_SET 8

#define US_PER_MS 1000

/* The state of a key. */
typedef struct Bucket
{
	RateKey key;
	int64 used_at;   /* flex_clock_us(); 0: the bucket is free */
	double tokens;   /* of the limit that is set; negative after calls that the limit did not stop */
	int64 filled_at; /* flex_clock_us(); 0: never */
	double spent;    /* tokens used by such calls since filled_at */
	int64 throttled; /* requests that were answered with 429 */
	Pace pace;       /* what the service accepts */
} Bucket;

typedef struct BucketSet
{
	slock_t lock;
	Bucket buckets[BUCKETS_PER_SET];
} BucketSet;

/* All buckets. */
typedef struct Rates
{
	bool begun[SETS]; /* whether the set has been initialized */
	BucketSet sets[SETS];
} Rates;

/* Segment.size */
static Size
size_of(bool is_shared)
{
	return sizeof(Rates);
}

/* Initialize a set. */
static void
begin_set(Rates *rates, int index)
{
	BucketSet *set = &rates->sets[index];

	memset(set, 0, sizeof(BucketSet));
	SpinLockInit(&set->lock);
	rates->begun[index] = true;
}

/*
 * Segment.initialize.  In memory of one session, each set is initialized on first use: touching
 * all of it would take a quarter of the CPU time of the session's first call.
 */
static void
initialize(void *memory, bool is_shared)
{
	Rates *rates = memory;

	memset(rates->begun, 0, sizeof(rates->begun));
	for (int i = 0; is_shared && i < SETS; i++)
		begin_set(rates, i);
}

Segment flex_rates_segment = {
	.name = "flex_api " FLEX_API_VERSION " rates",
	.size = size_of,
	.initialize = initialize,
};

/* Return a set.  May raise an error for lack of memory when this process calls it first. */
static BucketSet *
find_set(int index)
{
	bool is_shared;
	Rates *rates = flex_segment_find(&flex_rates_segment, &is_shared);

	if (!rates->begun[index])
		begin_set(rates, index);
	return &rates->sets[index];
}

/* Return the key of an account's use of an operation. */
RateKey
flex_rates_key(const char *account, int operation)
{
	size_t length = strlen(account);
	RateKey key = {
		.account = hash_bytes_extended((const unsigned char *) account, length, 0),
		.operation = operation,
	};

	memcpy(key.name, account, Min(length, sizeof(key.name) - 1));
	return key;
}

/* Return the set of a key. */
static BucketSet *
set_of(RateKey key)
{
	uint32 hash = hash_combine(murmurhash32((uint32) key.operation), (uint32) (key.account ^ (key.account >> 32)));

	return find_set((int) (hash % SETS));
}

/* Return the bucket of a key, marked as used now; a new one if the key has none.  The caller holds the set's lock. */
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

/* Add the tokens that have accrued since filled_at at a limit per second, and subtract those that calls have spent. */
static void
fill(Bucket *bucket, double limit, int64 now)
{
	double most = Max(1.0, limit / 10);

	/* A process that was preempted after it read the clock may be behind others. */
	now = Max(now, bucket->filled_at);
	if (bucket->filled_at == 0)
		bucket->tokens = most;
	else
		bucket->tokens = Min(most, bucket->tokens + limit * (now - bucket->filled_at) / 1e6);
	/* A debt of at most one second, so that requests of the outbox are not delayed without bound. */
	bucket->tokens = Max(bucket->tokens - bucket->spent, Min(bucket->tokens, -limit));
	bucket->spent = 0;
	bucket->filled_at = now;
}

/* Take up to the wanted number of tokens, as the limit and the pace allow.  Return how many were taken. */
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

/* Return how many of the wanted requests may be sent now at a limit per second, and take their tokens. */
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

/* Return the tokens of requests that were not sent after all. */
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

/* Return the milliseconds from now to a time, rounded up; 0 if it is past. */
static int64
ms_until(int64 at, int64 now)
{
	return at <= now ? 0 : (at - now) / US_PER_MS + 1;
}

/* Return the milliseconds until a request may be sent at a limit per second. */
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

/* Note that a call is sent without regard to any limit.  Others have to wait for the tokens that it uses. */
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

/*
 * If a call may be sent now according to what the service accepts, count it as sent and
 * return true.  The limit that is set does not stop it, but its token is used.
 */
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

/* Return the milliseconds until flex_rates_take_turn() may succeed. */
int64
flex_rates_turn_ms(RateKey key)
{
	return flex_rates_wait_ms(key, NO_RATE_LIMIT);
}

/* Note that a request was answered with another status than 429. */
void
flex_rates_note_passed(RateKey key, int64 sent_at)
{
	int64 now = flex_clock_us();
	BucketSet *set = set_of(key);

	SpinLockAcquire(&set->lock);
	flex_pace_note_passed(&use_bucket(set, key, now)->pace, sent_at, now);
	SpinLockRelease(&set->lock);
}

/* Note that a request was answered with 429.  pause_ms is how long the service asked us to wait, or 0. */
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

/* Note that the service asked us to wait, with whatever status. */
void
flex_rates_pause(RateKey key, int64 pause_ms)
{
	int64 now = flex_clock_us();
	BucketSet *set = set_of(key);

	SpinLockAcquire(&set->lock);
	flex_pace_pause(&use_bucket(set, key, now)->pace, pause_ms * US_PER_MS, now);
	SpinLockRelease(&set->lock);
}

/* Return true if all requests have been refused for longer than patience_ms, or must pause for longer than that. */
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

/* Return the number of rows that flex_rates_read() can be asked for. */
int
flex_rates_capacity(void)
{
	return SETS * BUCKETS_PER_SET;
}

/* Copy the state of a bucket; return false if it is free. */
bool
flex_rates_read(int index, RateLimit limit, RateRow *row)
{
	int64 now = flex_clock_us();
	BucketSet *set;
	Bucket copy;
	double rate;

	Assert(index >= 0 && index < flex_rates_capacity());
	set = find_set(index / BUCKETS_PER_SET);
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
