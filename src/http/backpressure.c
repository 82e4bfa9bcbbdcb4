/*
 * backpressure.c
 *		Bounds the bytes of answers that nobody has taken yet.
 *
 * A sender has up to a thousand requests under way, each of whose answers may
 * be as large as flex_api.max_response_size.  While the bodies of all transfers
 * hold more than MOST_BYTES_HELD, no more is read of those that the sender
 * waits for; the kernel's buffers fill, and the servers have to wait.  An answer
 * that is complete is settled then, which frees its body.  Where none is
 * complete one alone goes on, so that there is always one that can be: what is
 * held stays below MOST_BYTES_HELD and one answer more.
 */
#include "postgres.h"

#include "base/clock.h"
#include "http/backpressure.h"
#include "http/body.h"

#define MOST_BYTES_HELD ((size_t) 64 * 1024 * 1024)

/* A transfer that can be held back. */
typedef struct Entry
{
	Transfer *transfer;
	bool has_stalled;
} Entry;

static Entry *entries;
static int count;
static int capacity;
static bool any_held;

/* The transfer whose turn it is, how much of it there was when it last moved, and when that was. */
static Transfer *current;
static size_t current_length;
static int64 current_moved_at; /* flex_clock_ms() */

/* From now on a transfer may be held back; without memory to remember it, it is not. */
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

/* A transfer is about to be released; nothing happens for one that was not added. */
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

/* True when more bytes are held than should be. */
bool
flex_backpressure_is_due(void)
{
	return flex_body_bytes_held() > MOST_BYTES_HELD;
}

/*
 * The entry of the transfer that may go on alone, or NULL when one is over and will be
 * settled.  It is the one of which most has come, among those that have not stalled if
 * there are such: so it is the one that goes on already, if there is one.
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

/* Note whether the chosen transfer moves.  Returns false when it has stalled just now. */
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

/* Hold back all that are not over but the one that goes on. */
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
 * Hold back what has to wait.  True when something has been: what was seen of it
 * is out of date.  Must not be called in a callback of libcurl's.
 */
bool
flex_backpressure_apply(void)
{
	if (!flex_backpressure_is_due())
		return false;
	hold_all();
	return true;
}

/* True when a transfer may have to be let go on: no other has to wait. */
bool
flex_backpressure_may_go_on(void)
{
	return any_held && !flex_backpressure_is_due();
}

/*
 * Let one transfer go on that had to wait, if there is one and no other has to;
 * true then.  What has come for it meanwhile, which libcurl reads at once, has to
 * be read before the next may go on.  Must not be called in a callback of libcurl's.
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
