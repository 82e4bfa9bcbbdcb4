/*
 * in_flight.c
 *		The requests of the outbox that a sender has in flight.
 *
 * A request is in this list from its claim to the commit of its settlement.  This module decides
 * which requests are settled when (in portions, each in a transaction), and ends claims of which
 * all requests are settled.
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "delivery/in_flight.h"
#include "outbox/settling.h"

#define PORTION_BYTES (16 * 1024 * 1024) /* of answers, settled by one transaction */
#define ENOUGH_OVER 64                   /* answers; with more in a transaction, each costs hardly less */
#define MOST_PATIENCE_US 5000            /* how long answers wait for others */
#define LOCKED_MS 100                    /* until settling a request whose row is locked is tried again */
#define REFUSED_MS 5000                  /* until settling a request is tried again that was refused */
#define BYTES_AT_ONCE (2 * 1024 * 1024)  /* of answers; can be parsed and written within a tenth of a second */

struct InFlight
{
	dlist_head sendings;
	int count;
	Crowd *crowd;          /* the requests' attempts */
	bool had_callbacks;    /* a request with a callback has been settled */
	int64 over_at;         /* flex_clock_us() since when answers wait to be settled; 0 if none does */
	int64 turn_us;         /* microseconds that the last transaction took */
	DeliveryCounts counts; /* of the settled requests */
	MemoryContext context; /* parent of the requests' memory contexts */
};

/* Create an empty list in the current memory context. */
InFlight *
flex_in_flight_create(void)
{
	InFlight *in_flight = palloc0(sizeof(InFlight));

	dlist_init(&in_flight->sendings);
	in_flight->crowd = flex_crowd_create(CROWD_OF_MANY);
	in_flight->context = CurrentMemoryContext;
	return in_flight;
}

/* Return the number of requests in the list, including settled ones that have not been freed yet. */
int
flex_in_flight_count(const InFlight *in_flight)
{
	return in_flight->count;
}

/* Return true if a request is to be settled now with this scope. */
static bool
is_in_scope(const Sending *sending, SettleScope scope)
{
	const Attempt *attempt = sending->attempt;

	if (scope == SETTLE_OVER)
		return (attempt != NULL ? flex_attempt_is_over(attempt) : sending->error != NULL) &&
			   sending->again_ms <= flex_clock_ms();
	return scope != SETTLE_UNSENT || attempt == NULL || !flex_attempt_awaits_answer(attempt);
}

/* Return true if any request can be settled, because its attempt has ended or it cannot be sent. */
bool
flex_in_flight_any_over(const InFlight *in_flight)
{
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &in_flight->sendings)
	{
		if (is_in_scope(dlist_container(Sending, node, iter.cur), SETTLE_OVER))
			return true;
	}
	return false;
}

/* Return how many answers are worth a transaction, so that they do not wait for others. */
static int
enough_over(const InFlight *in_flight)
{
	return Min((in_flight->count * 3 + 3) / 4, ENOUGH_OVER);
}

/*
 * Return true if the requests that have ended are to be settled now.  A transaction per answer
 * costs much more than one for many, so a few answers wait for others, for about as long as a
 * transaction takes.
 */
bool
flex_in_flight_must_settle(InFlight *in_flight)
{
	int enough = enough_over(in_flight);
	int over = 0;
	dlist_iter iter;

	dlist_foreach(iter, &in_flight->sendings)
	{
		if (!is_in_scope(dlist_container(Sending, node, iter.cur), SETTLE_OVER))
			continue;
		if (++over >= enough)
			return true;
	}
	if (over == 0)
		in_flight->over_at = 0;
	else if (in_flight->over_at == 0)
		in_flight->over_at = flex_clock_us();
	return over > 0 && flex_in_flight_patience_ms(in_flight) == 0;
}

/* Return for how many more milliseconds answers may wait for others; -1 if none waits. */
long
flex_in_flight_patience_ms(const InFlight *in_flight)
{
	int64 left = in_flight->over_at + Min(in_flight->turn_us, MOST_PATIENCE_US) - flex_clock_us();

	return in_flight->over_at == 0 ? -1 : (long) Max((left + 999) / 1000, 0);
}

/* Note how many microseconds a transaction has taken that settled what had ended. */
void
flex_in_flight_note_turn(InFlight *in_flight, int64 turn_us)
{
	in_flight->turn_us = turn_us;
	in_flight->over_at = 0;
}

/* Return true if all requests of a claim are settled. */
static bool
is_claim_over(const InFlight *in_flight, uint64 claimed_in)
{
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &in_flight->sendings)
	{
		const Sending *sending = dlist_container(Sending, node, iter.cur);

		if (sending->claim.claimed_in == claimed_in && !sending->is_settled)
			return false;
	}
	return true;
}

/*
 * End the claims of which all requests are settled in this transaction.  checked tells that it is
 * known which requests could be settled (keep_unsettled()).  Return the number of requests of
 * these claims that turn out not to be settled.
 */
static int
end_claims(const InFlight *in_flight, bool checked)
{
	uint64 *over = palloc(sizeof(uint64) * Max(in_flight->count, 1));
	int count = 0;
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &in_flight->sendings)
	{
		const Sending *sending = dlist_container(Sending, node, iter.cur);
		bool is_noted = count > 0 && over[count - 1] == sending->claim.claimed_in;

		if (sending->is_settled && !is_noted && is_claim_over(in_flight, sending->claim.claimed_in))
			over[count++] = sending->claim.claimed_in;
	}
	return count > 0 ? flex_claims_end(over, count, checked) : 0;
}

/* Mark requests as unsettled whose settlement could not be written, so that it is tried again later. */
static void
keep_unsettled(InFlight *in_flight)
{
	dlist_iter iter;

	dlist_foreach(iter, &in_flight->sendings)
	{
		Sending *sending = dlist_container(Sending, node, iter.cur);

		if (!sending->is_settled)
			continue;
		sending->obstacle = flex_settled_rows_obstacle(sending->claim.id);
		sending->is_settled = sending->obstacle == OBSTACLE_NONE;
		sending->again_ms = flex_clock_ms() + (sending->obstacle == OBSTACLE_LOCK ? LOCKED_MS : REFUSED_MS);
	}
}

/* Write the settlements of this transaction. */
void
flex_in_flight_write(InFlight *in_flight)
{
	flex_outbox_flush();
	keep_unsettled(in_flight);
	(void) end_claims(in_flight, true);
}

/* Return the milliseconds until settling a request that could not be settled is to be tried again. */
long
flex_in_flight_unsettled_ms(const InFlight *in_flight)
{
	int64 now = flex_clock_ms();
	int64 left = PG_INT32_MAX;
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &in_flight->sendings)
	{
		const Sending *sending = dlist_container(Sending, node, iter.cur);

		if (sending->again_ms > now)
			left = Min(left, sending->again_ms - now);
	}
	return (long) left;
}

/* Return true if there are requests, and settling each of them has failed for this obstacle or a worse one. */
bool
flex_in_flight_meets(const InFlight *in_flight, Obstacle obstacle)
{
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &in_flight->sendings)
	{
		if (dlist_container(Sending, node, iter.cur)->obstacle < obstacle)
			return false;
	}
	return in_flight->count > 0;
}

/*
 * Settle requests of a scope, but only so many that their answers have PORTION_BYTES together (or
 * one larger answer).  The rest is left to the next transaction, when the memory of these has been
 * freed.  Return how many were settled; they stay in the list until flex_in_flight_end_settled().
 */
int
flex_in_flight_settle(InFlight *in_flight, SettleScope scope)
{
	bool keeps_unsettled = scope == SETTLE_OVER || scope == SETTLE_UNSENT;
	size_t most = scope == SETTLE_AT_ONCE ? BYTES_AT_ONCE : PORTION_BYTES;
	size_t read = 0;
	dlist_iter iter;
	int settled = 0;

	Assert(IsTransactionState());
	dlist_foreach(iter, &in_flight->sendings)
	{
		Sending *sending = dlist_container(Sending, node, iter.cur);
		const Attempt *attempt = sending->attempt;
		/* An answer that is not complete is given up, and has length 0 here. */
		size_t length = attempt != NULL ? flex_attempt_answer_length(attempt) : 0;
		bool fits = read + length <= most || (read == 0 && scope != SETTLE_AT_ONCE);
		bool is_due = is_in_scope(sending, scope);

		sending->is_settled = is_due && (fits || scope == SETTLE_AT_ONCE);
		if (!sending->is_settled)
			continue;
		flex_sending_settle(sending, fits);
		read += fits ? length : 0;
	}
	flex_outbox_flush();
	if (keeps_unsettled)
		keep_unsettled(in_flight);
	(void) end_claims(in_flight, keeps_unsettled);
	dlist_foreach(iter, &in_flight->sendings) settled += dlist_container(Sending, node, iter.cur)->is_settled;
	return settled;
}

/*
 * Leave all requests to the next sender, as if this one had been killed: nothing is recorded.
 * Return how many of them are unsettled; they stay in the list until flex_in_flight_end_settled().
 */
int
flex_in_flight_leave(InFlight *in_flight)
{
	dlist_iter iter;

	Assert(IsTransactionState());
	dlist_foreach(iter, &in_flight->sendings)
	{
		Sending *sending = dlist_container(Sending, node, iter.cur);

		sending->is_settled = true;
		sending->state = NULL;
	}
	return end_claims(in_flight, false);
}

/* Remove a request from the list and free it, with its connection. */
static void
end_sending(InFlight *in_flight, Sending *sending)
{
	Assert(in_flight->count > 0);
	in_flight->had_callbacks |= sending->claim.on_success || sending->claim.on_failure;
	in_flight->count--;
	dlist_delete(&sending->node);
	/* This ends the attempt, too. */
	MemoryContextDelete(sending->context);
}

/* Return the results of requests since the list was created. */
DeliveryCounts
flex_in_flight_counts(const InFlight *in_flight)
{
	DeliveryCounts counts = in_flight->counts;

	counts.under_way = flex_in_flight_count(in_flight);
	return counts;
}

/*
 * After the commit: free the requests that were settled.  Others may have been answered during the
 * commit, as a trigger on the outbox may have called the service; these stay.
 */
void
flex_in_flight_end_settled(InFlight *in_flight)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &in_flight->sendings)
	{
		Sending *sending = dlist_container(Sending, node, iter.cur);

		if (!sending->is_settled)
			continue;
		if (sending->state != NULL)
			flex_delivery_counts_add(&in_flight->counts, sending->state);
		end_sending(in_flight, sending);
	}
}

/* Free the requests whose claim was rolled back.  Another sender may have claimed them by now. */
void
flex_in_flight_end_unclaimed(InFlight *in_flight)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &in_flight->sendings)
	{
		Sending *sending = dlist_container(Sending, node, iter.cur);

		if (!sending->is_claimed)
			end_sending(in_flight, sending);
	}
}

/* Free all requests, settled or not. */
void
flex_in_flight_end_all(InFlight *in_flight)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &in_flight->sendings)
	{
		end_sending(in_flight, dlist_container(Sending, node, iter.cur));
	}
}

/* Return true if requests with callbacks have been freed since the last call. */
bool
flex_in_flight_had_callbacks(InFlight *in_flight)
{
	bool had = in_flight->had_callbacks;

	in_flight->had_callbacks = false;
	return had;
}

/* Add copies of claimed requests to the list.  Return them as an array in the current memory context. */
static Sending **
add_copies(InFlight *in_flight, const Claim *claims, int count)
{
	Sending **added = palloc(sizeof(Sending *) * count);

	for (int i = 0; i < count; i++)
	{
		added[i] = flex_sending_create(&claims[i], in_flight->context);
		dlist_push_tail(&in_flight->sendings, &added[i]->node);
		in_flight->count++;
	}
	return added;
}

/*
 * Add copies of claimed requests and prepare them for sending.  Those that cannot be sent are settled;
 * flex_in_flight_write() must then be called in the same transaction.  Return what became of each, in the
 * current memory context.
 */
Preparation *
flex_in_flight_add(InFlight *in_flight, const Claim *claims, int count)
{
	Sending **added = add_copies(in_flight, claims, count);
	Preparation *preparations = flex_sending_prepare(added, count);

	for (int i = 0; i < count; i++)
		added[i]->is_settled = preparations[i] != PREPARED;
	return preparations;
}

/* Note that the claims have been committed, so that we have to settle their requests. */
void
flex_in_flight_confirm(InFlight *in_flight)
{
	dlist_iter iter;

	dlist_foreach(iter, &in_flight->sendings)
	{
		dlist_container(Sending, node, iter.cur)->is_claimed = true;
	}
}

/* After the commit: begin to send the requests that have been claimed. */
void
flex_in_flight_start(InFlight *in_flight)
{
	dlist_iter iter;

	dlist_foreach(iter, &in_flight->sendings)
	{
		Sending *sending = dlist_container(Sending, node, iter.cur);

		if (sending->attempt == NULL && sending->error == NULL)
			flex_sending_start(sending, in_flight->crowd);
	}
}

/* Send and receive what is possible without waiting.  Return the milliseconds until this must be called again. */
long
flex_in_flight_receive(InFlight *in_flight)
{
	return flex_crowd_advance(in_flight->crowd);
}

/* Wait until something happens to a request, or the time is over.  Return true if the latch was set. */
bool
flex_in_flight_wait(InFlight *in_flight, long timeout_ms)
{
	return flex_crowd_wait(in_flight->crowd, timeout_ms, WAIT_FOR_RATE);
}
