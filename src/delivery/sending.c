/*
 * sending.c
 *		A claimed request of the outbox in a sender, from its preparation to its settlement.
 *
 * Each has a memory context of its own, a child of that of all requests in flight; deleting it
 * also closes the request's connection.  An error in preparing a request settles that request
 * and does not concern the others.
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
#include "outbox/access.h"
#include "request/json_arguments.h"

/* Return a deep copy of a claim, in the current memory context; but without the ordering key. */
static Claim
copy_claim(const Claim *claim)
{
	Claim copy = *claim;

	copy.operation = pstrdup(claim->operation);
	copy.account_sid = claim->account_sid ? pstrdup(claim->account_sid) : NULL;
	copy.server = claim->server ? pstrdup(claim->server) : NULL;
	copy.ordering_key = NULL; /* not needed after the claim */
	copy.last_error = claim->last_error ? pstrdup(claim->last_error) : NULL;
	copy.context = claim->context ? DatumGetJsonbPCopy(JsonbPGetDatum(claim->context)) : NULL;
	copy.arguments = claim->arguments ? DatumGetJsonbPCopy(JsonbPGetDatum(claim->arguments)) : NULL;
	return copy;
}

/* Create a Sending with a copy of the claim, in a new child of the given memory context. */
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
 * Make the request from its stored arguments and find its credentials: those of the role that
 * enqueued it, for the server that it names.  Raises an error if that is not possible.  We have
 * the rights of the outbox's owner; settings are read with those of the sender's session.
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
	/* Called for its errors: if raised later, they would not be this request's but the sender's. */
	(void) flex_endpoint_origin(sending->endpoint, sending->request->service);
	SetUserIdAndSecContext(user, security);
}

/* Return whether a request is of the same operation as the one before it. */
static bool
repeats_operation(Sending *const *sendings, int number)
{
	return number > 0 && strcmp(sendings[number]->claim.operation, sendings[number - 1]->claim.operation) == 0;
}

/*
 * Return the signatures of the requests' functions, in the current memory context; NULL stands for a function
 * that does not exist.
 */
static const Signature **
signatures_of(Sending *const *sendings, int count)
{
	const Signature **signatures = palloc(sizeof(Signature *) * count);

	for (int i = 0; i < count; i++)
	{
		const Operation *operation = flex_operation_find(sendings[i]->claim.operation);

		if (repeats_operation(sendings, i))
			signatures[i] = signatures[i - 1];
		else if (operation == NULL)
			signatures[i] = NULL;
		else
			signatures[i] = flex_signature_of_operation(operation, flex_outbox_schema(false));
	}
	return signatures;
}

/* Requests that are prepared in one subtransaction. */
typedef struct Making
{
	Sending *const *sendings;
	const Signature **signatures;
	int count;
	int made; /* how many of them are prepared */
} Making;

/* Check claims and make their requests, each in its memory context.  Raises an error if one of them cannot be sent. */
static void
check_and_make(void *argument)
{
	Making *making = argument;

	for (; making->made < making->count; making->made++)
	{
		Sending *sending = making->sendings[making->made];
		const Signature *signature = making->signatures[making->made];

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(sending->context);
		flex_sendable_check(&sending->claim, signature);
		make_request(sending, signature);
	}
}

/* Prepare a request in a subtransaction of its own.  If it cannot be sent, it is settled. */
static Preparation
prepare_alone(Sending *sending, const Signature *signature)
{
	MemoryContext before = MemoryContextSwitchTo(sending->context);
	Making making = {.sendings = &sending, .signatures = &signature, .count = 1};
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

/*
 * Prepare claimed requests for sending, in the transaction of their claims.  Return what became of each, in
 * the current memory context; those that cannot be sent are settled.  A subtransaction costs half as much as
 * to make a request, so there is one for all requests up to the next that cannot be sent.  That one is tried
 * again alone, so that its error is allocated in its own memory context.
 */
Preparation *
flex_sending_prepare(Sending *const *sendings, int count)
{
	Preparation *preparations = palloc0(sizeof(Preparation) * count);
	Making making = {.sendings = sendings, .signatures = signatures_of(sendings, count), .count = count};

	while (making.made < count)
	{
		bool is_last = making.made == count - 1;

		if (!is_last && flex_attempt(check_and_make, &making) == NULL)
			break;
		preparations[making.made] = prepare_alone(sendings[making.made], making.signatures[making.made]);
		making.made++;
	}
	return preparations;
}

/* Begin to send a prepared request.  Its claim must have been committed. */
void
flex_sending_start(Sending *sending, Crowd *crowd)
{
	MemoryContext before = MemoryContextSwitchTo(sending->context);
	int timeout = sending->endpoint->timeout;

	Assert(sending->is_claimed && sending->attempt == NULL);
	sending->attempt =
		flex_crowd_add(crowd, sending->request, sending->endpoint,
					   flex_clock_ms() + (timeout != FLEX_AS_SETTINGS ? timeout : flex_settings.timeout));
	/* A refusal with 429 does not count as an attempt, but what is sent after it is a repeat all the same. */
	flex_attempt_set_number(sending->attempt, Max(sending->claim.attempts, sending->claim.was_answered ? 2 : 1));
	MemoryContextSwitchTo(before);
}

/*
 * Return how long the request must wait for an operator.  The settlement may be tried several
 * times, but the holds must be told of the attempt only once, because they would take each call
 * for another attempt that has met the problem.
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
 * Settle a claimed request whose attempt has ended, or is given up.  If read is false, there is
 * no time to parse its answer, which is then lost.  Parsing may take a hundred times the
 * memory of the answer, so it is freed here, before the next request is settled.
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
