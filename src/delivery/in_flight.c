/*
 * in_flight.c
 *		The requests of the outbox that a sender has under way.
 *
 * A crowd of attempts, and beside each the claim that it is made for: from the claim
 * to the commit of its settlement, in a memory context of its own.  What is wrong with
 * one settles that one and no other.
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/settings.h"
#include "delivery/in_flight.h"
#include "delivery/sendable.h"
#include "delivery/settlement.h"
#include "http/crowd.h"
#include "outbox/access.h"
#include "outbox/settled_rows.h"
#include "outbox/settling.h"
#include "request/json_arguments.h"
#include "request/signature.h"

#define PORTION_BYTES (16 * 1024 * 1024) /* of answers that one transaction settles */
#define LOCKED_MS 100                    /* until a request is settled again whose row somebody has locked */
#define REFUSED_MS 5000                  /* the same of one whose settlement was refused */
#define BYTES_AT_ONCE (2 * 1024 * 1024)  /* of answers that are read and written within a tenth of a second */

/* A claimed request, in a context of its own. */
typedef struct Sending
{
	dlist_node node;
	MemoryContext context;
	Claim claim;
	HttpRequest *request;
	const Endpoint *endpoint;
	Attempt *attempt;  /* NULL: not sent yet */
	ErrorData *error;  /* why it cannot be sent, and that could not be recorded yet; or NULL */
	bool is_claimed;   /* its claim has been committed */
	bool is_settled;   /* in the last transaction */
	const char *state; /* as which; NULL: it was not sent */
	Obstacle obstacle; /* why it was not settled when it was to be */
	int64 again_ms;    /* flex_clock_ms() before which it is not tried again */
} Sending;

struct InFlight
{
	dlist_head sendings;
	int count;
	Crowd *crowd;          /* their attempts */
	bool had_callbacks;    /* some of what was settled */
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

/*
 * Settle a request that is over, or is given up; without its answer, where that is
 * not to be read.  What is needed to read it, some hundred times its bytes where
 * these are dense, is freed before the next one.
 */
static void
settle_sending(Sending *sending, bool read)
{
	MemoryContext context;
	MemoryContext before;
	Outcome outcome;

	Assert(sending->is_claimed);
	if (sending->error != NULL)
	{
		sending->state = flex_settle_unsent(&sending->claim, sending->error);
		return;
	}
	if (sending->attempt == NULL)
	{
		flex_settle_unstarted(&sending->claim);
		return;
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "flex_api answer", ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(context);
	outcome = flex_attempt_outcome(sending->attempt, sending->claim.may_be_done,
								   "the sender was stopped before the answer came");
	sending->state = flex_settle_attempt(&sending->claim, &outcome,
										 flex_holds_note(sending->endpoint, &sending->claim, &outcome), read);
	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
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

/* Forget the claims whose last requests are settled in this transaction. */
static void
end_claims(const InFlight *in_flight)
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
	if (count > 0)
		(void) flex_claims_end(over, count);
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
	end_claims(in_flight);
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

/* True when all that is under way has come to its end, and could not be recorded as it was refused. */
bool
flex_in_flight_is_refused(const InFlight *in_flight)
{
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &in_flight->sendings)
	{
		if (dlist_container(Sending, node, iter.cur)->obstacle != OBSTACLE_REFUSAL)
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
		settle_sending(sending, fits);
		read += fits ? length : 0;
	}
	flex_outbox_flush();
	if (scope == SETTLE_OVER || scope == SETTLE_UNSENT)
		keep_unsettled(in_flight);
	end_claims(in_flight);
	dlist_foreach(iter, &in_flight->sendings) settled += dlist_container(Sending, node, iter.cur)->is_settled;
	return settled;
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

	dlist_foreach_modify(iter, &in_flight->sendings) end_sending(in_flight, dlist_container(Sending, node, iter.cur));
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
 * Make the request and find its credentials: those of the role that enqueued it, for the
 * server that it names.  The settings are the sender's, which has the rights of the outbox's owner here.
 */
static void
make_request(Sending *sending, const Signature *signature)
{
	Identity identity = flex_claim_identity(&sending->claim);
	NullableDatum *values = palloc(sizeof(NullableDatum) * Max(signature->count, 1));
	Oid user;
	int security;

	flex_json_arguments_unpack(signature, sending->claim.arguments, values);
	sending->request = flex_json_arguments_request(signature, values);
	sending->request->way = WAY_OUTBOX;
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(GetOuterUserId(), security);
	sending->endpoint = flex_endpoint_of_identity(&identity, !sending->request->authorized);
	/* For what it refuses: later that would be an error of the turn. */
	(void) flex_endpoint_origin(sending->endpoint, sending->request->service);
	SetUserIdAndSecContext(user, security);
}

/*
 * Get a claimed request ready to be sent.  What is wrong with one settles that
 * one, and no other.  Only checks and look-ups are guarded, which leave nothing
 * behind that a subtransaction would have to clean up.
 */
static Preparation
try_to_prepare(Sending *sending, const Signature *signature)
{
	Oid user;
	int security;
	volatile Preparation preparation = PREPARED;

	GetUserIdAndSecContext(&user, &security);
	MemoryContextSwitchTo(sending->context);
	PG_TRY();
	{
		flex_sendable_check(&sending->claim, signature);
		make_request(sending, signature);
	}
	PG_CATCH();
	{
		ErrorData *error;

		SetUserIdAndSecContext(user, security);
		MemoryContextSwitchTo(sending->context);
		error = CopyErrorData();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		FlushErrorState();
		sending->error = error;
		sending->state = flex_settle_unsent(&sending->claim, error);
		preparation = strcmp(sending->state, "pending") == 0 ? BLOCKED : REFUSED;
	}
	PG_END_TRY();
	return preparation;
}

/* A copy of a claim in the current context. */
static Claim
copy_claim(const Claim *claim)
{
	Claim copy = *claim;

	copy.operation = pstrdup(claim->operation);
	copy.account_sid = claim->account_sid ? pstrdup(claim->account_sid) : NULL;
	copy.server = claim->server ? pstrdup(claim->server) : NULL;
	copy.ordering_key = NULL; /* it has counted */
	copy.arguments = palloc(VARSIZE(claim->arguments));
	memcpy(copy.arguments, claim->arguments, VARSIZE(claim->arguments));
	return copy;
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
	MemoryContext context = AllocSetContextCreate(in_flight->context, "flex_api request", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Sending *sending = palloc0(sizeof(Sending));
	Preparation preparation;

	sending->context = context;
	sending->claim = copy_claim(claim);
	dlist_push_tail(&in_flight->sendings, &sending->node);
	in_flight->count++;
	preparation = try_to_prepare(sending, signature);
	MemoryContextSwitchTo(before);
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
		MemoryContext before;
		int timeout;

		if (sending->attempt != NULL || sending->error != NULL)
			continue;
		Assert(sending->is_claimed);
		timeout = sending->endpoint->timeout;
		before = MemoryContextSwitchTo(sending->context);
		sending->attempt =
			flex_crowd_add(in_flight->crowd, sending->request, sending->endpoint,
						   flex_clock_ms() + (timeout != FLEX_AS_SETTINGS ? timeout : flex_settings.timeout));
		/* A refusal for its rate costs no attempt, and what is sent after it is a repeat all the same. */
		flex_attempt_set_number(sending->attempt, Max(sending->claim.attempts, sending->claim.was_answered ? 2 : 1));
		MemoryContextSwitchTo(before);
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
