/*
 * exchange.c
 *		One request and its answer: send, wait, repeat where that is safe.
 *
 * verdict.c decides which requests may be repeated, and repeats.c decides when.  If the
 * outcome of a POST is unknown, an error that says so is raised; it is never sent again.
 *
 * An exchange has a crowd of its own, with at most one attempt at a time.
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
	MemoryContext context; /* holds the exchange and all that it allocates */
	const HttpRequest *request;
	const Endpoint *endpoint;
	Crowd *crowd;
	Attempt *attempt; /* the current or last one; NULL while waiting for the turn or the repeat */
	bool was_sent;    /* there has been at least one attempt */
	Outcome outcome;  /* of the last attempt that is over */
	Repeats repeats;
	Traffic *traffic; /* the caller's counters to add to, or NULL */
};

/*
 * Start the next attempt if it is time, and return the answer of flex_repeats_look().
 * TURN_NEVER means that the outcome of the last attempt is final.
 */
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
 * Begin an exchange.  The request is sent at once, unless the rate limiter makes it wait
 * for its turn.  endpoint tells where to and with which credentials; NULL stands for the
 * endpoint that the settings describe.  Request and endpoint must live as long as the
 * exchange.  Raise 55000 if the settings are incomplete or contradictory.
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

/* Have the request, which has been begun, and all of its repeats counted in traffic. */
void
flex_exchange_count(Exchange *exchange, Traffic *traffic)
{
	Assert(exchange->traffic == NULL);
	exchange->traffic = traffic;
	traffic->requests++;
}

/*
 * Return true if the deadline of an exchange has passed.  If the caller has not waited for
 * it meanwhile, the timeout says nothing about the service, and it may be begun anew.
 */
bool
flex_exchange_is_stale(const Exchange *exchange)
{
	return flex_clock_ms() >= exchange->repeats.deadline;
}

/* Return true if an attempt is running, as opposed to over or not yet started. */
bool
flex_exchange_is_under_way(const Exchange *exchange)
{
	return exchange->attempt != NULL && !flex_attempt_is_over(exchange->attempt);
}

/* End the running attempt, if any, before the end of the context would. */
void
flex_exchange_abandon(Exchange *exchange)
{
	if (exchange->attempt != NULL)
		flex_attempt_end(exchange->attempt);
}

/*
 * Error context callback: name the request.  If a request that must not be repeated has
 * been sent, add that its outcome is unknown.
 */
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

/*
 * Take the next step that needs no waiting: start an attempt if it is time for one, or take
 * the outcome of one that is over and plan a repeat.  Return true if the outcome is final.
 */
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

/*
 * Continue an exchange, to its end if may_wait, else as far as possible without waiting.
 * Return its outcome, or NULL if it is not over; raise an error if the outcome is not good.
 */
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
 * Wait for the end of an exchange.  Return its outcome, which is good and valid as long as
 * the exchange, or raise an error.
 */
const Outcome *
flex_exchange_finish(Exchange *exchange)
{
	return go_on(exchange, true);
}

/* Like flex_exchange_finish(), but do not wait: return NULL if the exchange is not over yet. */
const Outcome *
flex_exchange_advance(Exchange *exchange)
{
	return go_on(exchange, false);
}

/*
 * Return a descriptor that is readable when flex_exchange_advance() may have something to
 * do, or PGINVALID_SOCKET.  For its use see flex_crowd_descriptor().  It belongs to the
 * exchange.
 */
pgsocket
flex_exchange_descriptor(Exchange *exchange)
{
	return flex_crowd_descriptor(exchange->crowd,
								 exchange->attempt == NULL ? exchange->repeats.resume_at : PG_INT64_MAX);
}

/* Add the rows found in the answer to the statistics.  The answer must have been received. */
void
flex_exchange_count_rows(Exchange *exchange, int64 rows)
{
	Assert(exchange->attempt != NULL);
	flex_attempt_count_rows(exchange->attempt, rows);
}

/* Return scheme, host and port that the request was sent to, allocated in the current context. */
const char *
flex_exchange_origin(const Exchange *exchange)
{
	return flex_endpoint_origin(exchange->endpoint, exchange->request->service);
}
