/*
 * parking.c
 *		When requests of mixed lanes that cannot be sent now are looked at again.
 *
 * Whose rate and credentials a request of a lane of many operations and accounts needs is
 * seen only when it has been locked.  One that cannot be sent then waits in
 * flex_outbox_later, so that it is in no other's way; and for so long that those which
 * wait for the same are looked at no faster than they can be sent.
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

#define OPERATORS_MS 60000    /* until one is looked at again that waits for an operator */
#define OPERATORS_STEP_MS 100 /* between two of these */
#define HELD_MS 1000          /* until one is looked at again whose way is held */
#define MOST_QUEUES 1000

/* What is waited for, instead of an operation's rate. */
#define WITHOUT_CREDENTIALS (-1)
#define HELD (-2)

/* What requests wait for; two words, so that there is nothing between them. */
typedef struct QueueKey
{
	uint64 account; /* a hash */
	int64 operation;
} QueueKey;

/* Those that wait for the same. */
typedef struct Queue
{
	QueueKey key;
	int64 last_ms;  /* flex_clock_ms() at which the last of them is looked at; 0: there is none */
	int64 probe_ms; /* the same at which one is tried that cannot be sent */
} Queue;

static HTAB *queues; /* NULL: nothing waits */

/* What is set may have changed: what waits for it is looked at again. */
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

/* When a request is looked at that waits behind the others of a queue. */
static TimestampTz
time_behind(RateKey rate, int64 wait_ms, int64 step_ms)
{
	Queue *queue = queue_of(rate);
	int64 now = flex_clock_ms();

	queue->last_ms = Max(queue->last_ms + step_ms, now + wait_ms);
	/* Nothing but a rate says how many can be sent when it is mended. */
	if (rate.operation < 0)
		queue->last_ms = Min(queue->last_ms, now + OPERATORS_MS);
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), queue->last_ms - now);
}

/*
 * True when a request must not be tried for which there are no credentials: others of its
 * role and account have to wait while one is, whose row says why.
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
 * True when a request cannot be sent now: it waits, and takes no token.  Otherwise its token
 * has been taken.
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

	/* Its row says what is wrong. */
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
