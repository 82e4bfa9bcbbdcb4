/*
 * backpressure.c
 *		Limits the memory used by answers that have not been processed yet.
 *
 * An outbox worker may have a thousand requests under way, and each answer may be as large
 * as flex_api.max_response_size.  While the bodies of all transfers together exceed
 * MOST_BYTES_HELD, reading is suspended ("held") for all transfers registered here.  Socket
 * buffers fill up then, and TCP's flow control makes the servers wait.  Meanwhile answers
 * that are complete are processed, which frees their bodies.
 *
 * If no answer is complete, one transfer alone goes on, so that there will be one.  Thus
 * memory usage is limited to MOST_BYTES_HELD plus the size of one answer.
 */
#include "postgres.h"

#include "base/clock.h"
#include "http/backpressure.h"
#include "http/body.h"

#define MOST_BYTES_HELD ((size_t) 64 * 1024 * 1024)

/* A transfer that may be held. */
typedef struct Entry
{
	Transfer *transfer;
	bool has_stalled; /* it received nothing for FLEX_STALL_MS when it alone was being read */
} Entry;

static Entry *entries; /* malloc'd, as transfers are */
static int count;
static int capacity;
static bool any_held; /* some transfer may be held */

/* The transfer that goes on alone, the length of its body when it last received something, and the time of that. */
static Transfer *current;
static size_t current_length;
static int64 current_moved_at; /* flex_clock_ms() */

/* Register a transfer, which may be held from now on.  If out of memory, do nothing: it is never held then. */
void
flex_backpressure_add(Transfer *transfer)
{
	if (count == capacity)
	{
		int larger = Max(64, capacity * 2);
		Entry *more = realloc(entries, sizeof(Entry) * larger);

		if (more == NULL)
			return;
		entries = more;
		capacity = larger;
	}
	Assert(flex_transfer_state(transfer) == TRANSFER_RUNNING);
	entries[count++] = (Entry){.transfer = transfer};
}

/* Unregister a transfer that is about to be freed.  Does nothing if it is not registered. */
void
flex_backpressure_remove(Transfer *transfer)
{
	if (current == transfer)
		current = NULL;
	for (int i = 0; i < count; i++)
	{
		if (entries[i].transfer == transfer)
		{
			entries[i] = entries[--count];
			return;
		}
	}
}

/* Return true if more memory is used than should be. */
bool
flex_backpressure_is_due(void)
{
	return flex_body_bytes_held() > MOST_BYTES_HELD;
}

/*
 * Choose the transfer that may go on alone.  Return NULL if there is none, or if any
 * transfer is over: processing that one will free memory.  The choice is the transfer with
 * the longest body, preferably of those that have not stalled.  This makes the choice
 * stable, because the chosen one is the only one that grows.
 */
static Entry *
choose_one(void)
{
	Entry *chosen = NULL;
	size_t longest = 0;

	for (int i = 0; i < count; i++)
	{
		Entry *entry = &entries[i];
		size_t length = flex_transfer_length(entry->transfer);

		if (flex_transfer_state(entry->transfer) != TRANSFER_RUNNING)
			return NULL;
		if (length == 0)
			continue;
		if (chosen == NULL || (chosen->has_stalled && !entry->has_stalled) ||
			(chosen->has_stalled == entry->has_stalled && length > longest))
		{
			chosen = entry;
			longest = length;
		}
	}
	return chosen;
}

/* Check whether the chosen transfer receives anything.  If it has stalled just now, mark it and return false. */
static bool
note_progress(Entry *chosen)
{
	int64 now = flex_clock_ms();
	size_t length = flex_transfer_length(chosen->transfer);

	if (chosen->transfer != current || length != current_length)
	{
		current = chosen->transfer;
		current_length = length;
		current_moved_at = now;
		return true;
	}
	if (chosen->has_stalled || now - current_moved_at < FLEX_STALL_MS)
		return true;
	chosen->has_stalled = true;
	return false;
}

/* Hold all running transfers except the chosen one. */
static void
hold_all(void)
{
	Entry *chosen = choose_one();

	while (chosen != NULL && !note_progress(chosen))
		chosen = choose_one();
	for (int i = 0; i < count; i++)
	{
		Transfer *transfer = entries[i].transfer;

		if (&entries[i] == chosen)
			flex_transfer_go_on(transfer);
		else if (flex_transfer_state(transfer) == TRANSFER_RUNNING)
			flex_transfer_hold(transfer, entries[i].has_stalled ? HELD_STALLED : HELD);
	}
	any_held = true;
}

/*
 * Hold transfers if too much memory is used.  Return true if so: events of sockets that the
 * caller has seen before may be out of date.  Must not be called in a callback of libcurl's.
 */
bool
flex_backpressure_apply(void)
{
	if (!flex_backpressure_is_due())
		return false;
	hold_all();
	return true;
}

/* Return true if memory usage has fallen, so that held transfers may be resumed. */
bool
flex_backpressure_may_go_on(void)
{
	return any_held && !flex_backpressure_is_due();
}

/*
 * Resume one held transfer if memory usage allows, and return true if there was one.  The
 * caller must let libcurl read the available input of this transfer, which may be much,
 * before it calls this again.  Must not be called in a callback of libcurl's.
 */
bool
flex_backpressure_let_one_go(void)
{
	if (!flex_backpressure_may_go_on())
		return false;
	for (int i = 0; i < count; i++)
	{
		if (flex_transfer_held(entries[i].transfer) != NOT_HELD)
		{
			flex_transfer_go_on(entries[i].transfer);
			return true;
		}
	}
	any_held = false;
	return false;
}
