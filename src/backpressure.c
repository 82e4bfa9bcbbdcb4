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

#include "backpressure.h"

#define MOST_BYTES_HELD ((size_t) 64 * 1024 * 1024)

static Transfer **transfers; /* that can be held back */
static int count;
static int capacity;
static bool any_held;

/* From now on a transfer may be held back; without memory to remember it, it is not. */
void
flex_backpressure_add(Transfer *transfer)
{
	if (count == capacity)
	{
		int larger = Max(64, capacity * 2);
		Transfer **more = realloc(transfers, sizeof(Transfer *) * larger);

		if (more == NULL)
			return;
		transfers = more;
		capacity = larger;
	}
	transfers[count++] = transfer;
}

/* A transfer is about to be released; nothing happens for one that was not added. */
void
flex_backpressure_remove(Transfer *transfer)
{
	for (int i = 0; i < count; i++)
	{
		if (transfers[i] == transfer)
		{
			transfers[i] = transfers[--count];
			return;
		}
	}
}

/* True when more bytes are held than should be. */
bool
flex_backpressure_is_due(void)
{
	return flex_transfer_bytes_held() > MOST_BYTES_HELD;
}

/* The transfer that may go on alone, or NULL when one is over and will be settled. */
static Transfer *
choose_one(void)
{
	Transfer *chosen = NULL;
	size_t longest = 0;

	for (int i = 0; i < count; i++)
	{
		size_t length;

		if (flex_transfer_state(transfers[i]) != TRANSFER_RUNNING)
			return NULL;
		(void) flex_transfer_body(transfers[i], &length);
		/* The one that has most is the one that goes on already, if there is one. */
		if (length > longest)
		{
			chosen = transfers[i];
			longest = length;
		}
	}
	return chosen;
}

/* Hold back all that are not over but the one that goes on. */
static void
hold_all(void)
{
	Transfer *chosen = choose_one();

	for (int i = 0; i < count; i++)
	{
		if (transfers[i] == chosen)
			flex_transfer_go_on(chosen);
		else if (flex_transfer_state(transfers[i]) == TRANSFER_RUNNING)
			flex_transfer_hold(transfers[i]);
	}
	any_held = true;
}

/*
 * Hold back what has to wait, or let it go on.  True while something has to wait.
 * Must not be called in a callback of libcurl's.
 */
bool
flex_backpressure_apply(void)
{
	if (flex_backpressure_is_due())
		hold_all();
	else if (any_held)
	{
		any_held = false;
		for (int i = 0; i < count; i++)
			flex_transfer_go_on(transfers[i]);
	}
	return any_held;
}
