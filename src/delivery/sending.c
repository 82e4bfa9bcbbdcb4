/*
 * sending.c
 *		A request of the outbox that a sender has under way: made ready, sent, settled.
 *
 * It lives in a memory context of its own, under that of the requests under way, and its
 * connection with it.  What is wrong with one settles that one and no other.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/attempt.h"
#include "base/clock.h"
#include "base/settings.h"
#include "delivery/sendable.h"
#include "delivery/sending.h"
#include "delivery/settlement.h"
#include "request/json_arguments.h"

/* A copy of a claim in the current context. */
static Claim
copy_claim(const Claim *claim)
{
	Claim copy = *claim;

	copy.operation = pstrdup(claim->operation);
	copy.account_sid = claim->account_sid ? pstrdup(claim->account_sid) : NULL;
	copy.server = claim->server ? pstrdup(claim->server) : NULL;
	copy.ordering_key = NULL; /* it has counted */
	copy.last_error = claim->last_error ? pstrdup(claim->last_error) : NULL;
	copy.context = claim->context ? DatumGetJsonbPCopy(JsonbPGetDatum(claim->context)) : NULL;
	copy.arguments = claim->arguments ? DatumGetJsonbPCopy(JsonbPGetDatum(claim->arguments)) : NULL;
	return copy;
}

/* A claimed request, of which a copy is made, in a context under another. */
Sending *
flex_sending_create(const Claim *claim, MemoryContext context)
{
	MemoryContext own = AllocSetContextCreate(context, "flex_api request", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(own);
	Sending *sending = palloc0(sizeof(Sending));

	sending->context = own;
	sending->claim = copy_claim(claim);
	MemoryContextSwitchTo(before);
	return sending;
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

	Assert(sending->claim.arguments != NULL && !sending->claim.is_over);
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

/* What is made ready, and what by. */
typedef struct Making
{
	Sending *sending;
	const Signature *signature;
} Making;

/* Raises what is wrong with a request. */
static void
check_and_make(void *argument)
{
	const Making *making = argument;

	flex_sendable_check(&making->sending->claim, making->signature);
	make_request(making->sending, making->signature);
}

/* Get a claimed request ready to be sent.  What is wrong with one settles that one, and no other. */
Preparation
flex_sending_prepare(Sending *sending, const Signature *signature)
{
	MemoryContext before = MemoryContextSwitchTo(sending->context);
	Making making = {.sending = sending, .signature = signature};
	Preparation preparation = PREPARED;

	sending->error = flex_attempt(check_and_make, &making);
	if (sending->error != NULL)
	{
		sending->state = flex_settle_unsent(&sending->claim, sending->error);
		preparation = strcmp(sending->state, "pending") == 0 ? BLOCKED : REFUSED;
	}
	MemoryContextSwitchTo(before);
	return preparation;
}

/* Send it, after the commit of its claim. */
void
flex_sending_start(Sending *sending, Crowd *crowd)
{
	MemoryContext before = MemoryContextSwitchTo(sending->context);
	int timeout = sending->endpoint->timeout;

	Assert(sending->is_claimed && sending->attempt == NULL);
	sending->attempt =
		flex_crowd_add(crowd, sending->request, sending->endpoint,
					   flex_clock_ms() + (timeout != FLEX_AS_SETTINGS ? timeout : flex_settings.timeout));
	/* A refusal for its rate costs no attempt, and what is sent after it is a repeat all the same. */
	flex_attempt_set_number(sending->attempt, Max(sending->claim.attempts, sending->claim.was_answered ? 2 : 1));
	MemoryContextSwitchTo(before);
}

/*
 * How long it waits for an operator.  An attempt is noted once, however often it is tried to
 * record what became of it: the holds take each for another that has met the same.
 */
static Wait
wait_of(Sending *sending, const Outcome *outcome)
{
	if (!sending->is_noted)
		sending->wait = flex_holds_note(sending->endpoint, &sending->claim, outcome);
	else if (sending->wait.since != 0)
		sending->wait.until = Max(sending->wait.until, GetCurrentTimestamp());
	sending->is_noted = true;
	return sending->wait;
}

/*
 * Settle a request that is over, or is given up; without its answer, where that is
 * not to be read.  What is needed to read it, some hundred times its bytes where
 * these are dense, is freed before the next one.
 */
void
flex_sending_settle(Sending *sending, bool read)
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
	sending->state = flex_settle_attempt(&sending->claim, &outcome, wait_of(sending, &outcome), read);
	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
}
