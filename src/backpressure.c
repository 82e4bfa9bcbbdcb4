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
#include "body.h"

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
	return flex_body_bytes_held() > MOST_BYTES_HELD;
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

/*
 * Let one transfer go on that had to wait, if there is one and no other has to;
 * true then.  What has come for it meanwhile, which libcurl reads at once, has to
 * be read before the next may go on.  Must not be called in a callback of libcurl's.
 */
bool
flex_backpressure_let_one_go(void)
{
	if (!any_held || flex_backpressure_is_due())
		return false;
	for (int i = 0; i < count; i++)
	{
		if (flex_transfer_is_held(transfers[i]))
		{
			flex_transfer_go_on(transfers[i]);
			return true;
		}
	}
	any_held = false;
	return false;
}
