/*
 * exchange.c
 *		One request and its answer: send, wait, repeat where that is safe.
 *
 * Which requests may be repeated is for verdict.c to say, and when is for repeats.c.
 * A POST whose outcome is unknown is an error that says so, never a second POST.  An
 * exchange is a crowd of one attempt, which is replaced by the next.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/clock.h"
#include "base/effective.h"
#include "http/crowd.h"
#include "http/exchange.h"
#include "http/repeats.h"

struct Exchange
{
	MemoryContext context; /* of the exchange and all that it makes */
	const HttpRequest *request;
	const Endpoint *endpoint;
	Crowd *crowd;
	Attempt *attempt; /* the current or the last one; NULL: wait for its turn or its repeat */
	bool was_sent;    /* there was one */
	Outcome outcome;  /* of the last one, when it is over */
	Repeats repeats;
	Traffic *traffic; /* that it is counted in, or NULL */
};

/* Send the request, if its turn has come.  TURN_NEVER: what the last attempt came to is the end. */
static Turn
send_if_due(Exchange *exchange)
{
	Repeats *repeats = &exchange->repeats;
	Turn turn = flex_repeats_look(repeats, exchange->was_sent ? &exchange->outcome : NULL);

	Assert(exchange->attempt == NULL);
	if (turn != TURN_NOW)
		return turn;
	exchange->attempt = flex_crowd_add(exchange->crowd, exchange->request, exchange->endpoint, repeats->deadline);
	flex_attempt_set_number(exchange->attempt, ++repeats->attempts);
	if (exchange->was_sent && exchange->traffic != NULL)
	{
		exchange->traffic->requests++;
		exchange->traffic->repeats++;
	}
	exchange->was_sent = true;
	return TURN_NOW;
}

/*
 * Begin an exchange: credentials are found and the request is sent, unless it has to wait
 * for its turn, to that endpoint, which must stay as long, or where NULL to that of the
 * settings.  Raises 55000 when settings do not allow it.
 */
Exchange *
flex_exchange_begin(const HttpRequest *request, const Endpoint *endpoint)
{
	Exchange *exchange = palloc0(sizeof(Exchange));

	flex_effective_check_displaced();
	flex_effective_check_known();
	exchange->context = CurrentMemoryContext;
	exchange->request = request;
	exchange->endpoint =
		endpoint != NULL ? endpoint : flex_endpoint_of_settings(GetUserId(), NULL, !request->authorized);
	exchange->crowd = flex_crowd_create(CROWD_OF_ONE);
	exchange->repeats =
		flex_repeats_begin(exchange->endpoint, flex_endpoint_rate_key(exchange->endpoint, request->counts_as));
	(void) send_if_due(exchange);
	return exchange;
}

/* Count what was begun, and all of its repeats. */
void
flex_exchange_count(Exchange *exchange, Traffic *traffic)
{
	Assert(exchange->traffic == NULL);
	exchange->traffic = traffic;
	traffic->requests++;
}

/*
 * True when the time of an exchange is over, and nobody has waited for it: what it came
 * to is not known, and it may be begun anew.
 */
bool
flex_exchange_is_stale(const Exchange *exchange)
{
	return flex_clock_ms() >= exchange->repeats.deadline;
}

/* True when something of an exchange may be on its way: its answer has not come, and it does not wait to be sent. */
bool
flex_exchange_is_under_way(const Exchange *exchange)
{
	return exchange->attempt != NULL && !flex_attempt_is_over(exchange->attempt);
}

/* Let go of an exchange before its context ends. */
void
flex_exchange_abandon(Exchange *exchange)
{
	if (exchange->attempt != NULL)
		flex_attempt_end(exchange->attempt);
}

/* Tell, in an error's context, what was under way: for a POST, also what that means. */
static void
describe_exchange(void *argument)
{
	const Exchange *exchange = argument;
	const HttpRequest *request = exchange->request;
	bool is_unknown =
		!request->idempotent && exchange->attempt != NULL && flex_attempt_awaits_answer(exchange->attempt);

	errcontext("Flex API request %s %s%s", request->method, flex_request_shown_path(request),
			   is_unknown ? ", which was sent: it is not known whether the service carried it out" : "");
}

/* Send the request again when it is time, and see what an attempt that is over came to.  True when that is the end. */
static bool
note_end(Exchange *exchange)
{
	Repeats *repeats = &exchange->repeats;

	if (exchange->attempt == NULL && send_if_due(exchange) == TURN_NEVER)
		return true;
	if (exchange->attempt == NULL || !flex_attempt_is_over(exchange->attempt))
		return false;
	exchange->outcome = flex_attempt_outcome(exchange->attempt, repeats->was_maybe_done, NULL);
	if (exchange->traffic != NULL)
		flex_traffic_add_end(exchange->traffic, &exchange->outcome);
	if (!flex_repeats_plan(repeats, &exchange->outcome))
		return true;
	flex_attempt_end(exchange->attempt);
	exchange->attempt = NULL;
	exchange->outcome.body = NULL;
	exchange->outcome.body_length = 0;
	return false;
}

/* Go on with an exchange to its end, or as far as that takes no waiting.  Returns its outcome, or NULL. */
static const Outcome *
go_on(Exchange *exchange, bool may_wait)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_exchange,
		.arg = exchange,
	};
	MemoryContext before = MemoryContextSwitchTo(exchange->context);
	bool is_over;

	error_context_stack = &context;
	if (!may_wait)
		(void) flex_crowd_wait(exchange->crowd, 0, WAIT_FOR_REPEAT);
	while (!(is_over = note_end(exchange)) && may_wait)
	{
		const Repeats *repeats = &exchange->repeats;
		bool awaits_turn = repeats->awaits_turn;
		int64 until = exchange->attempt != NULL ? repeats->deadline : repeats->resume_at;

		(void) flex_crowd_wait(exchange->crowd, Max(until - flex_clock_ms(), 0),
							   awaits_turn ? WAIT_FOR_RATE : WAIT_FOR_REPEAT);
	}
	error_context_stack = context.previous;
	MemoryContextSwitchTo(before);
	if (!is_over)
		return NULL;
	if (!flex_outcome_is_good(&exchange->outcome))
		flex_outcome_raise(&exchange->outcome);
	return &exchange->outcome;
}

/*
 * Wait for the end of an exchange; returns its outcome, a good one that lasts as
 * long as the exchange, or raises an error.
 */
const Outcome *
flex_exchange_finish(Exchange *exchange)
{
	return go_on(exchange, true);
}

/* The same without waiting: NULL when it is not over yet. */
const Outcome *
flex_exchange_advance(Exchange *exchange)
{
	return go_on(exchange, false);
}

/*
 * A descriptor that is readable when flex_exchange_advance() may have something to do;
 * flex_crowd_descriptor() has the rules.  The exchange keeps it until it ends.
 */
pgsocket
flex_exchange_descriptor(Exchange *exchange)
{
	return flex_crowd_descriptor(exchange->crowd,
								 exchange->attempt == NULL ? exchange->repeats.resume_at : PG_INT64_MAX);
}

/* Count rows that its answer, which has come, has. */
void
flex_exchange_count_rows(Exchange *exchange, int64 rows)
{
	flex_attempt_count_rows(exchange->attempt, rows);
}

/* Scheme, host and port that the request was sent to, in the current context. */
const char *
flex_exchange_origin(const Exchange *exchange)
{
	return flex_endpoint_origin(exchange->endpoint, exchange->request->service);
}
