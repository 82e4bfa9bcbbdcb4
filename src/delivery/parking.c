/*
 * parking.c
 *		Parks requests of mixed lanes that cannot be sent now.
 *
 * A mixed lane has requests of many operations and accounts.  Which rate limit and credentials
 * a request needs is known only when its row has been locked.  If it cannot be sent then, it
 * gets a row in flex_outbox_later, so that it does not block the others of its lane.  Requests
 * that wait for the same (a queue) get times that are so far apart that they are looked at no
 * faster than they can be sent.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/settings.h"
#include "delivery/accounts.h"
#include "delivery/holds.h"
#include "delivery/mending.h"
#include "delivery/parking.h"
#include "delivery/rate_limits.h"
#include "delivery/sendable.h"

#define OPERATORS_MS 60000    /* until a request that waits for an operator is looked at again */
#define OPERATORS_STEP_MS 100 /* between two such requests of a queue */
#define HELD_MS 1000          /* until a request whose route is held is looked at again */
#define MOST_QUEUES 1000

/* Values of QueueKey.operation for requests that do not wait for an operation's rate. */
#define WITHOUT_CREDENTIALS (-1)
#define HELD (-2)

/* What requests wait for.  The fields have the same size, so there is no padding. */
typedef struct QueueKey
{
	uint64 account; /* a hash */
	int64 operation;
} QueueKey;

/* The requests that wait for the same. */
typedef struct Queue
{
	QueueKey key;
	int64 last_ms;  /* flex_clock_ms() at which the last request of the queue is looked at; 0 if there is none */
	int64 probe_ms; /* flex_clock_ms() before which none is claimed just to record what is wrong */
} Queue;

static HTAB *queues; /* Queue by QueueKey; NULL if empty */

/* Forget all queues: settings may have changed, and with them when requests can be sent. */
void
flex_parking_forget(void)
{
	if (queues != NULL)
		hash_destroy(queues);
	queues = NULL;
}

static Queue *
queue_of(RateKey rate)
{
	HASHCTL control = {.keysize = sizeof(QueueKey), .entrysize = sizeof(Queue), .hcxt = TopMemoryContext};
	QueueKey key = {rate.account, rate.operation};
	Queue *queue;
	bool found;

	if (queues != NULL && hash_get_num_entries(queues) >= MOST_QUEUES)
		flex_parking_forget();
	if (queues == NULL)
		queues = hash_create("flex_api parking", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	queue = hash_search(queues, &key, HASH_ENTER, &found);
	if (!found)
		queue->last_ms = queue->probe_ms = 0;
	return queue;
}

/*
 * Add a request to a queue, and return when to look at it: step_ms after the last one of the
 * queue, but not before wait_ms from now.
 */
static TimestampTz
time_behind(RateKey rate, int64 wait_ms, int64 step_ms)
{
	Queue *queue = queue_of(rate);
	int64 now = flex_clock_ms();

	queue->last_ms = Max(queue->last_ms + step_ms, now + wait_ms);
	/* Only a rate limits how fast requests can be sent afterwards; others need not wait longer than this. */
	if (rate.operation < 0)
		queue->last_ms = Min(queue->last_ms, now + OPERATORS_MS);
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), queue->last_ms - now);
}

/*
 * Return true if a request must not be claimed because there are no credentials for it; set
 * *key to its queue then.  But once in OPERATORS_MS return false for one request of the queue:
 * it is claimed, fails, and its row says what is wrong.
 */
static bool
is_hopeless(const Identity *identity, const Operation *operation, RateKey *key)
{
	Queue *queue;

	if (flex_accounts_is_sendable(identity, operation))
		return false;
	key->account = hash_combine64(key->account, identity->role);
	if (identity->server != NULL)
		key->account = hash_combine64(key->account, flex_rates_key(identity->server, 0).account);
	key->operation = WITHOUT_CREDENTIALS;
	queue = queue_of(*key);
	if (flex_clock_ms() < queue->probe_ms)
		return true;
	queue->probe_ms = flex_clock_ms() + OPERATORS_MS;
	return false;
}

/*
 * Return true if a request cannot be sent now, and set *parking to when it can be tried again.
 * Otherwise a token of its rate limit has been taken, and if its route is held, it is the probe.
 */
bool
flex_parking_is_needed(const Claim *claim, Parking *parking)
{
	const Operation *operation = flex_operation_find(claim->operation);
	Identity identity = flex_claim_identity(claim);
	RateKey rate;
	RateKey operators;
	Route route;
	int64 wait_ms;

	/* An unknown operation: claim the request, so that its row says what is wrong. */
	if (operation == NULL)
		return false;
	rate = flex_accounts_rate_key(&identity, operation);
	operators = rate;
	route = flex_accounts_route(&identity, operation);
	*parking = (Parking){0};
	if (flex_holds_open_at(&route) > flex_clock_ms())
	{
		operators.operation = HELD;
		parking->waits_for_operator = true;
		parking->until = time_behind(operators, HELD_MS, OPERATORS_STEP_MS);
		return true;
	}
	if (is_hopeless(&identity, operation, &operators) || flex_rate_limits_is_paused(rate))
	{
		parking->waits_for_operator = true;
		parking->until = time_behind(operators, OPERATORS_MS, OPERATORS_STEP_MS);
		flex_mending_expect();
		return true;
	}
	if (flex_rate_limits_take(rate, 1) == 1)
	{
		flex_holds_begin_probe(&route);
		return false;
	}
	wait_ms = flex_rate_limits_wait_ms(rate);
	parking->until = time_behind(rate, wait_ms, flex_rate_limits_step_ms(rate));
	parking->is_for_rate = !flex_rates_is_hopeless(rate, flex_settings.timeout);
	return true;
}
