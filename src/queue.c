/*
 * queue.c
 *		Which of the outbox's requests are sent next, and when.
 *
 * A lane is what waits of one operation at one priority.  They are looked up by
 * one statement, the most urgent first, and then claimed from, as far as there is
 * room and the rate of each operation allows.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "access.h"
#include "clock.h"
#include "limits.h"
#include "poller.h"
#include "queue.h"
#include "settings.h"

#define LANES_MS 200 /* a more urgent lane is not seen for so long */

struct Queue
{
	int64 requests_left;   /* that may still be claimed */
	TimestampTz due_at;    /* of the next request; 0: there is none */
	TimestampTz tokens_at; /* when the rate allows a request that is due; 0: none waits for it */
	Lane *lanes;           /* as they were at lanes_at */
	int lanes_count;
	int64 lanes_at; /* flex_clock_ms(); 0: unknown */
	uint64 holds;   /* flex_outbox_holds() at that time */
	MemoryContext lanes_context;
};

/* A queue of which so many requests may be claimed; it lives in the current context. */
Queue *
flex_queue_create(int64 max_requests)
{
	Queue *queue = palloc0(sizeof(Queue));

	queue->requests_left = max_requests;
	queue->lanes_context = AllocSetContextCreate(CurrentMemoryContext, "flex_api lanes", ALLOCSET_DEFAULT_SIZES);
	return queue;
}

/* The earlier of two times, where 0 means none. */
static TimestampTz
earlier(TimestampTz a, TimestampTz b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* A request is due at that time. */
static void
note_due(Queue *queue, TimestampTz due_at)
{
	queue->due_at = earlier(queue->due_at, due_at);
}

/* There may be something to claim. */
void
flex_queue_look_now(Queue *queue)
{
	note_due(queue, GetCurrentTimestamp());
}

/* Nothing is to be claimed before so many milliseconds are over, unless we are told to look. */
void
flex_queue_put_off(Queue *queue, int64 ms)
{
	flex_queue_forget(queue);
	queue->tokens_at = 0;
	queue->due_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
}

/* What is known of the lanes is no longer true, perhaps. */
void
flex_queue_forget(Queue *queue)
{
	queue->lanes_at = 0;
}

/* How many requests may be under way at once: more than there are sockets for would only wait. */
static int
concurrency(void)
{
	return Min(flex_settings.concurrency, flex_poller_capacity());
}

/* True when there is too little room beside what is under way for a claim to be worth it. */
bool
flex_queue_is_full(int under_way)
{
	return concurrency() - under_way < Max(concurrency() / 4, 1);
}

/* True when requests are due and it is worth claiming some. */
bool
flex_queue_may_claim(Queue *queue, int under_way)
{
	TimestampTz now = GetCurrentTimestamp();

	if (queue->tokens_at != 0 && queue->tokens_at <= now)
		note_due(queue, queue->tokens_at);
	return queue->requests_left > 0 && (under_way == 0 || !flex_queue_is_full(under_way)) && queue->due_at != 0 &&
		   queue->due_at <= now;
}

/* True when requests are due that only their rate keeps back. */
bool
flex_queue_waits_for_rate(const Queue *queue)
{
	return queue->requests_left > 0 && queue->tokens_at != 0;
}

/* When the next request may be claimed, for all we know; 0: there is none. */
TimestampTz
flex_queue_next_at(const Queue *queue)
{
	return queue->requests_left > 0 ? earlier(queue->due_at, queue->tokens_at) : 0;
}

/* Put what was claimed of a lane into the batch. */
static void
add_claims(Batch *batch, const Lane *lane, const Claim *claims, int count)
{
	const Operation *operation = flex_operation_find(lane->operation);

	for (int i = 0; i < count; i++)
	{
		/* For each anew: somebody's trigger may have made new ones, when one that cannot be sent was settled. */
		const Signature *signature =
			operation != NULL ? flex_signature_of_operation(operation, flex_outbox_schema(false)) : NULL;

		flex_batch_add(batch, &claims[i], signature);
	}
}

/*
 * Claim requests of a lane, from where the last claim ended: before that, the
 * index has the entries of what was sent, until the next vacuum.  Only when there
 * is nothing more behind, all of it is looked at.
 */
static int
claim_from_last(Lane *lane, Batch *batch, int limit)
{
	int count;
	Claim *claims = flex_outbox_claim(lane, limit, &count);

	if (count == 0 && lane->claim_from != DT_NOBEGIN)
	{
		lane->claim_from = DT_NOBEGIN;
		claims = flex_outbox_claim(lane, limit, &count);
	}
	for (int i = 0; i < count; i++)
		lane->claim_from = Max(lane->claim_from, claims[i].run_at);
	add_claims(batch, lane, claims, count);
	return count;
}

/* Claim what may be sent of a lane, at most room requests.  Returns how many were. */
static int
claim_lane(Queue *queue, Lane *lane, Batch *batch, int room)
{
	const Operation *operation = flex_operation_find(lane->operation);
	int granted = operation != NULL ? flex_limits_take(operation, room) : room;
	int count;

	if (granted == 0)
	{
		TimestampTz tokens_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), flex_limits_wait_ms(operation));

		queue->tokens_at = earlier(queue->tokens_at, tokens_at);
		return 0;
	}
	count = claim_from_last(lane, batch, granted);
	if (operation != NULL)
		flex_limits_give_back(operation, granted - count);
	/* There may be more of it. */
	if (count > 0)
		flex_queue_look_now(queue);
	return count;
}

/* Look which lanes there are, unless that was done a moment ago. */
static void
look_at_lanes(Queue *queue)
{
	MemoryContext before;

	if (queue->lanes_at != 0 && flex_clock_ms() - queue->lanes_at < LANES_MS && queue->holds == flex_outbox_holds())
		return;
	MemoryContextReset(queue->lanes_context);
	before = MemoryContextSwitchTo(queue->lanes_context);
	queue->lanes = flex_outbox_lanes(&queue->lanes_count);
	MemoryContextSwitchTo(before);
	queue->lanes_at = flex_clock_ms();
	queue->holds = flex_outbox_holds();
}

/* Claim of all lanes what is due, as long as there is room; returns how many requests. */
static int
claim_lanes(Queue *queue, Batch *batch, int room)
{
	TimestampTz now = GetCurrentTimestamp();
	int claimed = 0;

	queue->due_at = 0;
	queue->tokens_at = 0;
	for (int i = 0; i < queue->lanes_count; i++)
	{
		if (queue->lanes[i].due_at <= now && room > claimed)
			claimed += claim_lane(queue, &queue->lanes[i], batch, room - claimed);
		else
			note_due(queue, queue->lanes[i].due_at);
	}
	return claimed;
}

/*
 * Claim what is due for the batch, as long as there is room beside what is under
 * way.  Returns how many requests; they may be sent after a commit, to disk.
 */
int
flex_queue_claim(Queue *queue, Batch *batch, int under_way)
{
	int room = (int) Min((int64) (concurrency() - under_way), queue->requests_left);
	bool were_known = queue->lanes_at != 0;
	int claimed;

	if (queue->requests_left == 0)
		return 0;
	look_at_lanes(queue);
	claimed = claim_lanes(queue, batch, room);
	queue->requests_left -= claimed;
	if (claimed > 0)
		return claimed;
	/* What was known of the lanes is used up: look again, at once if it was not new. */
	flex_queue_forget(queue);
	if (were_known)
		flex_queue_look_now(queue);
	return 0;
}
