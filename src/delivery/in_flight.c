/*
 * in_flight.c
 *		The requests of the outbox that a sender has under way.
 *
 * All of them together, each from its claim to the commit of its settlement: which are
 * settled when, a portion in a transaction, and which claims are over then.
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "delivery/in_flight.h"
#include "outbox/access.h"
#include "outbox/settling.h"

#define PORTION_BYTES (16 * 1024 * 1024) /* of answers that one transaction settles */
#define ENOUGH_OVER 64                   /* answers; a transaction for more costs little less for each */
#define MOST_PATIENCE_US 5000            /* that answers wait for others */
#define LOCKED_MS 100                    /* until a request is settled again whose row somebody has locked */
#define REFUSED_MS 5000                  /* the same of one whose settlement was refused */
#define BYTES_AT_ONCE (2 * 1024 * 1024)  /* of answers that are read and written within a tenth of a second */

struct InFlight
{
	dlist_head sendings;
	int count;
	Crowd *crowd;          /* their attempts */
	bool had_callbacks;    /* some of what was settled */
	int64 over_at;         /* flex_clock_us() since when answers wait to be settled; 0: none does */
	int64 turn_us;         /* microseconds that the last transaction has taken */
	DeliveryCounts counts; /* of what was settled */
	MemoryContext context; /* that the requests' own are under */
};

/* Nothing is under way; it lives in the current context. */
InFlight *
flex_in_flight_create(void)
{
	InFlight *in_flight = palloc0(sizeof(InFlight));

	dlist_init(&in_flight->sendings);
	in_flight->crowd = flex_crowd_create(CROWD_OF_MANY);
	in_flight->context = CurrentMemoryContext;
	return in_flight;
}

/* How many requests are under way, the settled ones included until they are let go of. */
int
flex_in_flight_count(const InFlight *in_flight)
{
	return in_flight->count;
}

/* True when a request is to be settled. */
static bool
is_in_scope(const Sending *sending, SettleScope scope)
{
	const Attempt *attempt = sending->attempt;

	if (scope == SETTLE_OVER)
		return (attempt != NULL ? flex_attempt_is_over(attempt) : sending->error != NULL) &&
			   sending->again_ms <= flex_clock_ms();
	return scope != SETTLE_UNSENT || attempt == NULL || !flex_attempt_awaits_answer(attempt);
}

/* True when any of the requests has been answered, has failed, or is late, and can be settled. */
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

/* How many answers are worth a transaction of their own, whatever else is under way. */
static int
enough_over(const InFlight *in_flight)
{
	return Min((in_flight->count * 3 + 3) / 4, ENOUGH_OVER);
}

/*
 * True when what is over is to be settled now.  A transaction for each answer costs much more than
 * one for many: few of those that are under way wait for others, about as long as it takes.
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

/* Milliseconds for which answers wait for others at most; -1: none waits. */
long
flex_in_flight_patience_ms(const InFlight *in_flight)
{
	int64 left = in_flight->over_at + Min(in_flight->turn_us, MOST_PATIENCE_US) - flex_clock_us();

	return in_flight->over_at == 0 ? -1 : (long) Max((left + 999) / 1000, 0);
}

/* A transaction that settles what is over has taken so many microseconds. */
void
flex_in_flight_note_turn(InFlight *in_flight, int64 turn_us)
{
	in_flight->turn_us = turn_us;
	in_flight->over_at = 0;
}

/* True when a claim's requests are all settled. */
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
 * Forget the claims whose last requests are settled in this transaction; checked: none counts
 * as settled that is not.  Returns how many were not after all.
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

/* Keep those for another turn that could not be settled; what is not kept is the next sender's. */
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

/* Write what has been settled in this transaction. */
void
flex_in_flight_write(InFlight *in_flight)
{
	flex_outbox_flush();
	keep_unsettled(in_flight);
	(void) end_claims(in_flight, true);
}

/* Milliseconds until a request is to be settled again that could not be. */
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

/* True when all that is under way has come to its end, and could not be recorded for such an obstacle, or a worse one. */
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
 * Settle requests, but only so many that the bodies of their answers have
 * PORTION_BYTES together, or one that has more: the rest is for the next
 * transaction, for which there is memory when those have been let go of.  Returns
 * how many were settled; they stay in the list until the commit.
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
		/* What is given up is not read. */
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
 * Leave all that is under way to the next sender, as that of one that was killed: its end is
 * not recorded here.  Returns how many requests these are; they stay in the list until the commit.
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

/* Forget a request and let go of its connection. */
static void
end_sending(InFlight *in_flight, Sending *sending)
{
	in_flight->had_callbacks |= sending->claim.on_success || sending->claim.on_failure;
	in_flight->count--;
	dlist_delete(&sending->node);
	/* The attempt ends with its context. */
	MemoryContextDelete(sending->context);
}

/* What has become of requests since the beginning. */
DeliveryCounts
flex_in_flight_counts(const InFlight *in_flight)
{
	DeliveryCounts counts = in_flight->counts;

	counts.under_way = flex_in_flight_count(in_flight);
	return counts;
}

/*
 * After the commit: let go of what has been settled.  What has been answered
 * since then, while somebody's trigger on the outbox called the service, is not.
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

/* Let go of those whose claim was rolled back: they may be somebody else's by now. */
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

/* Let go of all, settled or not. */
void
flex_in_flight_end_all(InFlight *in_flight)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &in_flight->sendings)
	{
		end_sending(in_flight, dlist_container(Sending, node, iter.cur));
	}
}

/* True when callbacks may be due of what was settled since this was last asked. */
bool
flex_in_flight_had_callbacks(InFlight *in_flight)
{
	bool had = in_flight->had_callbacks;

	in_flight->had_callbacks = false;
	return had;
}

/*
 * Add a claimed request, of which a copy is made, ready to be sent; or settle it, where
 * it cannot be: then flex_in_flight_write() has to follow.
 */
Preparation
flex_in_flight_add(InFlight *in_flight, const Claim *claim)
{
	const Operation *operation = flex_operation_find(claim->operation);
	/* For each anew: somebody's trigger may have made new ones, when one that cannot be sent was settled. */
	const Signature *signature =
		operation != NULL ? flex_signature_of_operation(operation, flex_outbox_schema(false)) : NULL;
	Sending *sending = flex_sending_create(claim, in_flight->context);
	Preparation preparation;

	dlist_push_tail(&in_flight->sendings, &sending->node);
	in_flight->count++;
	preparation = flex_sending_prepare(sending, signature);
	sending->is_settled = preparation != PREPARED;
	return preparation;
}

/* The claims have been committed: they are ours to settle. */
void
flex_in_flight_confirm(InFlight *in_flight)
{
	dlist_iter iter;

	dlist_foreach(iter, &in_flight->sendings)
	{
		dlist_container(Sending, node, iter.cur)->is_claimed = true;
	}
}

/* Send what has been claimed, after the commit. */
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

/* Read what has come.  Returns the milliseconds until this has to be done again if nothing happens. */
long
flex_in_flight_receive(InFlight *in_flight)
{
	return flex_crowd_advance(in_flight->crowd);
}

/* Wait until something happens to a request, or for so many milliseconds; true when the latch was set. */
bool
flex_in_flight_wait(InFlight *in_flight, long timeout_ms)
{
	return flex_crowd_wait(in_flight->crowd, timeout_ms, WAIT_FOR_RATE);
}
