/*
 * in_flight.c
 *		The requests of the outbox that a sender has under way.
 *
 * Each lives in a memory context of its own, from its claim to the commit of its
 * settlement.  What is wrong with one settles that one and no other.
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/settings.h"
#include "delivery/in_flight.h"
#include "delivery/settlement.h"
#include "http/backpressure.h"
#include "http/transport.h"
#include "request/json_arguments.h"

#define PORTION_BYTES (16 * 1024 * 1024) /* of answers that one transaction settles */
#define BYTES_AT_ONCE (2 * 1024 * 1024)  /* of answers that are read and written within a tenth of a second */

/* A request under way, in a context of its own. */
typedef struct Sending
{
	dlist_node node;
	MemoryContext context;
	Claim claim;
	HttpRequest *request;
	const Endpoint *endpoint;
	Transfer *transfer; /* NULL: not sent yet */
	int64 deadline;     /* flex_clock_ms(), while it is under way */
	bool was_sent;      /* when it was last looked at */
	bool is_claimed;    /* its claim has been committed */
	bool is_late;       /* its time is over */
	bool is_settled;    /* in the last transaction */
} Sending;

/* Forget a request and let go of its connection. */
static void
end_sending(InFlight *in_flight, Sending *sending)
{
	if (sending->transfer != NULL)
		flex_transport_release(sending->transfer);
	dlist_delete(&sending->node);
	in_flight->count--;
	MemoryContextDelete(sending->context);
}

/* True when a request has been answered, or has failed. */
static bool
is_over(const Sending *sending)
{
	return sending->transfer != NULL &&
		   (sending->is_late || flex_transfer_state(sending->transfer) != TRANSFER_RUNNING);
}

/* True when any of the requests is over. */
bool
flex_in_flight_any_over(InFlight *in_flight)
{
	dlist_iter iter;

	dlist_foreach(iter, &in_flight->sendings)
	{
		if (is_over(dlist_container(Sending, node, iter.cur)))
			return true;
	}
	return false;
}

/* The bytes that are to be read of a request's answer; what is given up is not read. */
static size_t
answer_length(const Sending *sending)
{
	if (sending->transfer == NULL || flex_transfer_state(sending->transfer) != TRANSFER_ANSWERED)
		return 0;
	return flex_transfer_length(sending->transfer);
}

/*
 * Settle a request that is over, or is given up; without its answer, where that is
 * not to be read.  What is needed to read it, some hundred times its bytes where
 * these are dense, is freed before the next one.
 */
static void
settle(const Sending *sending, bool read)
{
	const Claim *claim = &sending->claim;
	const char *given_up =
		sending->is_late ? "no answer came within flex_api.timeout" : "the sender was stopped before the answer came";
	MemoryContext context;
	MemoryContext before;
	Outcome outcome;

	if (sending->transfer == NULL)
	{
		flex_settle_unstarted(claim);
		return;
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "flex_api answer", ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(context);
	outcome = flex_outcome_reach(sending->request, sending->transfer, claim->may_be_done, given_up);
	flex_settle_attempt(claim, &outcome, read);
	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
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

	dlist_foreach(iter, &in_flight->sendings)
	{
		Sending *sending = dlist_container(Sending, node, iter.cur);
		size_t length = answer_length(sending);
		bool fits = read + length <= most || (read == 0 && scope != SETTLE_AT_ONCE);

		sending->is_settled = (scope != SETTLE_OVER || is_over(sending)) && (fits || scope == SETTLE_AT_ONCE);
		Assert(sending->is_claimed || !sending->is_settled);
		if (!sending->is_settled)
			continue;
		settle(sending, fits);
		read += fits ? length : 0;
		settled++;
	}
	return settled;
}

/* Let go of a request that is settled, or given up. */
static void
end_one(InFlight *in_flight, Sending *sending)
{
	in_flight->had_callbacks |= sending->claim.on_success || sending->claim.on_failure;
	end_sending(in_flight, sending);
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

		if (sending->is_settled)
			end_one(in_flight, sending);
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
			end_one(in_flight, sending);
	}
}

/* Let go of all, settled or not. */
void
flex_in_flight_end_all(InFlight *in_flight)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &in_flight->sendings)
	{
		end_one(in_flight, dlist_container(Sending, node, iter.cur));
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
 * Make the request and find its credentials: those of the role that enqueued it.
 * The settings are the sender's, which has the rights of the outbox's owner here.
 */
static void
make_request(Sending *sending, const Signature *signature)
{
	NullableDatum *values = palloc(sizeof(NullableDatum) * Max(signature->count, 1));
	Oid user;
	int security;

	flex_json_arguments_unpack(signature, sending->claim.arguments, values);
	sending->request = flex_json_arguments_request(signature, values);
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(GetOuterUserId(), security);
	sending->endpoint =
		flex_endpoint_of_settings(sending->claim.role, sending->claim.account_sid, !sending->request->authorized);
	SetUserIdAndSecContext(user, security);
}

/* Raise when a claim cannot be sent, by anybody or for its role. */
static void
check_claim(const Claim *claim, const Signature *signature)
{
	AclResult result;

	if (claim->foreign)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the request was enqueued in another database, of which this is a copy")));
	if (signature == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function %s does not exist", claim->operation)));
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(claim->role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the role that enqueued the request does not exist")));
	/* It may have been revoked since then. */
	result = flex_function_aclcheck(signature->function, claim->role);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, claim->operation);
}

/*
 * Get a claimed request ready to be sent.  What is wrong with one settles that
 * one, and no other.  Only checks and look-ups are guarded, which leave nothing
 * behind that a subtransaction would have to clean up.
 */
static bool
prepare(Sending *sending, const Signature *signature)
{
	Oid user;
	int security;
	volatile bool good = true;

	GetUserIdAndSecContext(&user, &security);
	MemoryContextSwitchTo(sending->context);
	PG_TRY();
	{
		check_claim(&sending->claim, signature);
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
		flex_settle_unsent(&sending->claim, error);
		good = false;
	}
	PG_END_TRY();
	return good;
}

/* A copy of a claim in the current context. */
static Claim
copy_claim(const Claim *claim)
{
	Claim copy = *claim;

	copy.operation = pstrdup(claim->operation);
	copy.account_sid = claim->account_sid ? pstrdup(claim->account_sid) : NULL;
	copy.arguments = palloc(VARSIZE(claim->arguments));
	memcpy(copy.arguments, claim->arguments, VARSIZE(claim->arguments));
	return copy;
}

/* Add a claimed request, ready to be sent; or settle it, when it cannot be. */
void
flex_in_flight_add(InFlight *in_flight, const Claim *claim, const Signature *signature)
{
	MemoryContext context = AllocSetContextCreate(in_flight->context, "flex_api request", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Sending *sending = palloc0(sizeof(Sending));
	bool good;

	sending->context = context;
	sending->claim = copy_claim(claim);
	dlist_push_tail(&in_flight->sendings, &sending->node);
	in_flight->count++;
	good = prepare(sending, signature);
	MemoryContextSwitchTo(before);
	if (good)
		return;
	in_flight->had_callbacks |= claim->on_failure;
	end_sending(in_flight, sending);
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

/*
 * Send what has been claimed, after the commit.  libcurl does not watch the
 * time: while a callback runs nobody reads, and an answer that has come in the
 * meantime must not be taken for one that is late.
 */
void
flex_in_flight_start(InFlight *in_flight)
{
	dlist_iter iter;

	dlist_foreach(iter, &in_flight->sendings)
	{
		Sending *sending = dlist_container(Sending, node, iter.cur);

		if (sending->transfer != NULL)
			continue;
		sending->deadline = flex_clock_ms() + flex_settings.timeout;
		sending->transfer = flex_transport_start(sending->request, sending->endpoint, 0);
		sending->was_sent = flex_transfer_was_sent(sending->transfer);
	}
}

/*
 * A connection may have waited for a callback, too.  What is sent only after its
 * time is over gets that time once more: given up now, it would be uncertain.
 */
static void
excuse_delay(Sending *sending)
{
	bool was_sent = sending->was_sent;

	sending->was_sent = flex_transfer_was_sent(sending->transfer);
	if (sending->was_sent && !was_sent && sending->deadline <= flex_clock_ms())
		sending->deadline = flex_clock_ms() + flex_settings.timeout;
}

/* An answer that has to wait for others has its time once more when it may go on: it is not the service that is late. */
static void
excuse_held(InFlight *in_flight)
{
	dlist_iter iter;

	dlist_foreach(iter, &in_flight->sendings)
	{
		Sending *sending = dlist_container(Sending, node, iter.cur);

		if (sending->transfer != NULL && flex_transfer_held(sending->transfer) == HELD)
			sending->deadline = flex_clock_ms() + flex_settings.timeout;
	}
}

/* Read what has come, then give up what is late.  Returns the milliseconds until the next would be. */
long
flex_in_flight_pump(InFlight *in_flight)
{
	int64 next = PG_INT32_MAX;
	dlist_iter iter;

	if (in_flight->count == 0)
		return next;
	excuse_held(in_flight);
	flex_transport_pump();
	excuse_held(in_flight);
	dlist_foreach(iter, &in_flight->sendings)
	{
		Sending *sending = dlist_container(Sending, node, iter.cur);
		int64 left;

		if (sending->transfer == NULL || flex_transfer_state(sending->transfer) != TRANSFER_RUNNING)
			continue;
		excuse_delay(sending);
		left = sending->deadline - flex_clock_ms();
		sending->is_late = left <= 0;
		next = Min(next, Max(left, 0));
	}
	/* The one answer that is read may stall. */
	return flex_backpressure_is_due() ? Min(next, FLEX_STALL_MS) : next;
}
