/*
 * exchange.c
 *		One request and its answer: send, wait, repeat where that is safe.
 *
 * Which requests may be repeated is for verdict.c to say.  A POST whose
 * outcome is unknown is an error that says so, never a second POST.
 * flex_api.timeout bounds the whole, so a repeat that could not be answered in
 * time is not begun.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/effective.h"
#include "http/exchange.h"
#include "http/transport.h"

struct Exchange
{
	const HttpRequest *request;
	const Endpoint *endpoint;
	Transfer *transfer; /* the current try, or the last one */
	Outcome outcome;    /* of that, when it is over */
	int repeats;
	int max_repeats;
	bool was_maybe_done; /* by an earlier try */
	int64 deadline;      /* flex_clock_ms() */
	int64 resume_at;     /* when to try again; 0: a try is running or done */
	MemoryContext context;
	MemoryContextCallback release;
};

/* Let go of the connection, at the context's end. */
static void
release_exchange(void *argument)
{
	Exchange *exchange = argument;

	if (exchange->transfer != NULL)
		flex_transport_release(exchange->transfer);
	exchange->transfer = NULL;
}

/* Send the request, for the first time or again. */
static void
start_try(Exchange *exchange)
{
	long left = exchange->deadline - flex_clock_ms();

	exchange->resume_at = 0;
	exchange->transfer = flex_transport_start(exchange->request, exchange->endpoint, Max(left, 1));
}

/*
 * Begin an exchange: credentials are found and the request is sent.  Raises
 * 55000 when settings do not allow it.
 */
Exchange *
flex_exchange_begin(const HttpRequest *request)
{
	Exchange *exchange = palloc0(sizeof(Exchange));

	flex_effective_check_displaced();
	flex_effective_check_known();
	exchange->request = request;
	exchange->context = CurrentMemoryContext;
	exchange->endpoint = flex_endpoint_of_settings(GetUserId(), NULL, !request->authorized);
	exchange->max_repeats = flex_effective_integer(&flex_settings.max_retries);
	exchange->deadline = flex_clock_ms() + flex_effective_integer(&flex_settings.timeout);
	exchange->release.func = release_exchange;
	exchange->release.arg = exchange;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &exchange->release);
	start_try(exchange);
	return exchange;
}

/* Plan another try, if that is safe, useful and in time for one as long as this was. */
static bool
plan_repeat(Exchange *exchange)
{
	const Outcome *outcome = &exchange->outcome;
	int64 resume_at;

	if (exchange->repeats >= exchange->max_repeats || outcome->verdict != VERDICT_AGAIN)
		return false;
	resume_at = flex_clock_ms() + Max(flex_backoff_ms(BACKOFF_CALL, exchange->repeats), outcome->retry_after_ms);
	if (resume_at + outcome->elapsed_ms >= exchange->deadline)
		return false;
	exchange->repeats++;
	exchange->resume_at = resume_at;
	exchange->was_maybe_done |= outcome->may_be_done;
	flex_transport_release(exchange->transfer);
	exchange->transfer = NULL;
	return true;
}

/* Do what can be done without waiting; true when the exchange is over. */
static bool
advance(Exchange *exchange)
{
	MemoryContext before;

	if (exchange->transfer == NULL && flex_clock_ms() >= exchange->resume_at)
		start_try(exchange);
	if (exchange->transfer == NULL || flex_transfer_state(exchange->transfer) == TRANSFER_RUNNING)
		return false;
	before = MemoryContextSwitchTo(exchange->context);
	exchange->outcome = flex_outcome_reach(exchange->request, exchange->transfer, exchange->was_maybe_done, NULL);
	MemoryContextSwitchTo(before);
	return !plan_repeat(exchange);
}

/* Wait until something may have happened. */
static void
wait_for_progress(Exchange *exchange)
{
	int64 until = exchange->transfer != NULL ? exchange->deadline : exchange->resume_at;

	(void) flex_transport_wait(Max(until - flex_clock_ms(), 0));
}

/* Tell, in an error's context, what was under way: for a POST, also what that means. */
static void
describe_exchange(void *argument)
{
	const Exchange *exchange = argument;
	const HttpRequest *request = exchange->request;
	bool unknown = !request->idempotent && exchange->transfer != NULL &&
				   flex_transfer_state(exchange->transfer) == TRANSFER_RUNNING &&
				   flex_transfer_was_sent(exchange->transfer);

	errcontext("Flex API request %s %s%s", request->method, request->path,
			   unknown ? ", which was sent: it is not known whether the service carried it out" : "");
}

/*
 * Wait for the end of an exchange; returns its outcome, a good one that lasts as
 * long as the exchange, or raises an error.
 */
const Outcome *
flex_exchange_run(Exchange *exchange)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_exchange,
		.arg = exchange,
	};

	error_context_stack = &context;
	while (!advance(exchange))
		wait_for_progress(exchange);
	error_context_stack = context.previous;
	if (!flex_outcome_is_good(&exchange->outcome))
		flex_outcome_raise(&exchange->outcome);
	return &exchange->outcome;
}

/* Scheme, host and port that the request was sent to. */
const char *
flex_exchange_origin(const Exchange *exchange)
{
	return exchange->endpoint->origin;
}
