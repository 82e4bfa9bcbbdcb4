/*
 * exchange.c
 *		One request and its answer: send, wait, repeat where that is safe.
 *
 * Which requests may be repeated is for verdict.c to say.  A POST whose
 * outcome is unknown is an error that says so, never a second POST.
 * flex_api.timeout bounds the whole, so a repeat that could not be answered in
 * time is not begun.  An exchange is a crowd of one attempt, which is replaced by
 * the next.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/effective.h"
#include "http/crowd.h"
#include "http/exchange.h"

struct Exchange
{
	MemoryContext context; /* of the exchange and all that it makes */
	const HttpRequest *request;
	const Endpoint *endpoint;
	Crowd *crowd;
	Attempt *attempt; /* the current or the last one; NULL: wait for resume_at */
	Outcome outcome;  /* of the last one, when it is over */
	int repeats;
	int max_repeats;
	bool was_maybe_done; /* by an earlier attempt */
	int64 deadline;      /* flex_clock_ms(), of the whole */
	int64 resume_at;     /* when to try again */
};

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
	exchange->context = CurrentMemoryContext;
	exchange->request = request;
	exchange->endpoint = flex_endpoint_of_settings(GetUserId(), NULL, !request->authorized);
	exchange->crowd = flex_crowd_create(CROWD_OF_ONE);
	exchange->max_repeats = flex_effective_integer(&flex_settings.max_retries);
	exchange->deadline = flex_clock_ms() + flex_effective_integer(&flex_settings.timeout);
	exchange->attempt = flex_crowd_add(exchange->crowd, request, exchange->endpoint, exchange->deadline);
	return exchange;
}

/* Plan another attempt, if that is safe, useful and in time for one as long as this was. */
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
	flex_attempt_end(exchange->attempt);
	exchange->attempt = NULL;
	return true;
}

/* Tell, in an error's context, what was under way: for a POST, also what that means. */
static void
describe_exchange(void *argument)
{
	const Exchange *exchange = argument;
	const HttpRequest *request = exchange->request;
	bool is_unknown =
		!request->idempotent && exchange->attempt != NULL && flex_attempt_awaits_answer(exchange->attempt);

	errcontext("Flex API request %s %s%s", request->method, request->path,
			   is_unknown ? ", which was sent: it is not known whether the service carried it out" : "");
}

/*
 * Wait for the end of an exchange; returns its outcome, a good one that lasts as
 * long as the exchange, or raises an error.
 */
const Outcome *
flex_exchange_finish(Exchange *exchange)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_exchange,
		.arg = exchange,
	};
	MemoryContext before = MemoryContextSwitchTo(exchange->context);

	Assert(exchange->attempt != NULL);
	error_context_stack = &context;
	for (;;)
	{
		int64 until;

		if (exchange->attempt == NULL && flex_clock_ms() >= exchange->resume_at)
			exchange->attempt =
				flex_crowd_add(exchange->crowd, exchange->request, exchange->endpoint, exchange->deadline);
		if (exchange->attempt != NULL && flex_attempt_is_over(exchange->attempt))
		{
			exchange->outcome = flex_attempt_outcome(exchange->attempt, exchange->was_maybe_done, NULL);
			if (!plan_repeat(exchange))
				break;
		}
		until = exchange->attempt != NULL ? exchange->deadline : exchange->resume_at;
		(void) flex_crowd_wait(exchange->crowd, Max(until - flex_clock_ms(), 0));
	}
	error_context_stack = context.previous;
	MemoryContextSwitchTo(before);
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
