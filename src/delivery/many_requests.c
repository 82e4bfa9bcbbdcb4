/*
 * many_requests.c
 *		Sends the requests of one statement, many at the same time.
 *
 * As many requests are in flight as the concurrency and the rate limit of the account allow.
 *
 * If the statement fails, connections that still wait for an answer are closed when the memory
 * context is deleted in which flex_many_requests_send() was called.  The error's DETAIL and the
 * server log tell what the service has carried out; after a FATAL error the log does.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "delivery/carried_out.h"
#include "delivery/many_requests.h"
#include "delivery/patience.h"
#include "delivery/rate_limits.h"
#include "http/backpressure.h"
#include "http/elements.h"
#include "http/poller.h"
#include "shared/progress.h"

typedef struct Sending
{
	const ManyRequests *many;
	MemoryContext context;
	Elements elements;
	int sent;     /* elements of which an attempt was begun */
	int answered; /* those of them that have ended */
	Patience patience;
	RateKey rate; /* all requests count against this limit */
	CarriedOut *carried_out;
	int failed; /* elements that ended without success */
	Progress *progress;
} Sending;

static Sending *sending_now; /* for tell_at_exit(); NULL while nothing is sent */

/* Show other sessions the statement's progress. */
static void
show_progress(const Sending *sending)
{
	flex_progress_show(sending->progress, &(ProgressCounts){
											  .done = sending->elements.ended,
											  .total = sending->many->count,
											  .in_flight = flex_elements_under_way(&sending->elements),
											  .failed = sending->failed,
											  .rows = sending->elements.ended,
										  });
}

/* Return the number of an element among all that the statement sends, counted from 1. */
static int
number_of(const Sending *sending, const Element *element)
{
	return sending->many->sent_before + element->index + 1;
}

/* Return how many more elements may be begun now, by the concurrency and by what the poller can hold. */
static int
free_places(const Sending *sending)
{
	int most = Min(sending->many->concurrency, flex_poller_capacity());

	return Min(most - flex_elements_under_way(&sending->elements), sending->many->count - sending->elements.begun);
}

/* Begin an attempt to send an element's request: the first one, or a repeat. */
static void
begin_attempt(Sending *sending, Element *element)
{
	sending->sent += element->repeats.attempts == 0 ? 1 : 0;
	flex_element_send(&sending->elements, element);
}

/* Create the next element, including its request. */
static Element *
add_element(Sending *sending)
{
	const ManyRequests *many = sending->many;
	Element *element = flex_elements_add(&sending->elements, many->make, many->state);

	element->endpoint = element->request->authorized ? many->without_identity : many->endpoint;
	element->repeats = flex_repeats_begin(element->endpoint, sending->rate);
	return element;
}

/* Create the next element, and begin its first attempt. */
static void
begin_element(Sending *sending)
{
	begin_attempt(sending, add_element(sending));
	show_progress(sending);
}

/* Pass the outcome of an element to the statement, and free the element. */
static void
end_element(Sending *sending, Element *element)
{
	const Outcome *outcome = &element->outcome;

	MemoryContextSwitchTo(element->context);
	/* Note it first, so that the error's DETAIL has it even if take() fails. */
	flex_carried_out_note(sending->carried_out, number_of(sending, element), outcome);
	element->is_noted = true;
	sending->many->take(sending->many->state, element->index, outcome);
	MemoryContextSwitchTo(sending->context);
	sending->answered += element->repeats.attempts > 0 ? 1 : 0;
	sending->failed += flex_outcome_is_good(outcome) ? 0 : 1;
	flex_element_end(&sending->elements, element);
	show_progress(sending);
}

/*
 * End all elements that are not in flight, because the service accepts nothing: those that
 * wait for a repeat with the outcome of their last attempt, the others as unsent.
 */
static void
give_up(Sending *sending)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &sending->elements.under_way)
	{
		Element *element = dlist_container(Element, node, iter.cur);

		if (element->attempt == NULL)
			end_element(sending, element);
	}
	while (sending->elements.begun < sending->many->count)
	{
		Element *element;

		CHECK_FOR_INTERRUPTS();
		element = add_element(sending);
		MemoryContextSwitchTo(element->context);
		element->outcome = flex_outcome_unsent(element->request, sending->patience.reason);
		end_element(sending, element);
	}
}

/* After an attempt has ended: let the element wait for its repeat, or end it. */
static void
conclude_attempt(Sending *sending, Element *element)
{
	bool waits = flex_element_conclude(&sending->elements, element);
	bool was_deferred = element->outcome.verdict == VERDICT_DEFERRED;

	if (!was_deferred)
		flex_patience_note(&sending->patience, &element->outcome, sending->context);
	if (!waits)
		end_element(sending, element);
	else if (was_deferred)
		flex_rate_limits_give_back(sending->rate, 1);
}

/* Process all attempts that have ended, in the order of their ends.  Return false if there were none. */
static bool
take_ended(Sending *sending)
{
	bool any_ended = false;
	Attempt *attempt;

	while ((attempt = flex_crowd_next_finished(sending->elements.crowd)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		conclude_attempt(sending, flex_attempt_owner(attempt));
		any_ended = true;
	}
	return any_ended;
}

/*
 * Take a token of the rate limit for a request, and return true if there was one.  If the rate
 * says that nothing will be accepted for longer than a single call would wait, and nothing is
 * in flight, send one request without a token, so that this statement, too, has an answer of
 * the service to report.
 */
static bool
take_token(Sending *sending)
{
	if (flex_rate_limits_take(sending->rate, 1) == 1)
		return true;
	if (flex_elements_under_way(&sending->elements) > 0 || !flex_rates_is_hopeless(sending->rate, sending->patience.ms))
		return false;
	flex_rates_spend(sending->rate);
	return true;
}

/* Return true if an element may be begun.  After many failures that is one at a time, after a pause. */
static bool
has_patience(const Sending *sending)
{
	if (!flex_patience_is_tried(&sending->patience))
		return true;
	return flex_elements_under_way(&sending->elements) == 0 && sending->patience.pause_until <= flex_clock_ms();
}

/*
 * Begin the repeats that are due, as long as there are tokens; otherwise set *has_token to
 * false.  Elements for whose repeat it is too late are ended.  Return the milliseconds until
 * the next repeat is due, or too late.
 */
static int64
send_again(Sending *sending, bool *has_token)
{
	int64 next = PG_INT32_MAX;
	int64 now = flex_clock_ms();
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &sending->elements.under_way)
	{
		Element *element = dlist_container(Element, node, iter.cur);

		if (element->attempt != NULL)
			continue;
		if (element->repeats.resume_at > now)
			next = Min(next, element->repeats.resume_at - now);
		else if (element->repeats.deadline <= now)
			/* No token has come in time for the repeat. */
			end_element(sending, element);
		else if (*has_token && (*has_token = take_token(sending)))
			begin_attempt(sending, element);
		else
			next = Min(next, element->repeats.deadline - now);
	}
	return next;
}

/* Begin all attempts that may be begun now.  Return the milliseconds until more may be, if no answer comes before. */
static int64
send_due(Sending *sending)
{
	bool has_token = true;
	int64 next = send_again(sending, &has_token);

	/* Despite backpressure keep one in flight: answers that others hold may not be read before this statement ends. */
	while (has_token && free_places(sending) > 0 && has_patience(sending) &&
		   (flex_elements_under_way(&sending->elements) == 0 || !flex_backpressure_is_due()))
	{
		CHECK_FOR_INTERRUPTS();
		has_token = take_token(sending);
		if (has_token)
			begin_element(sending);
	}
	if (sending->patience.pause_until > flex_clock_ms())
		next = Min(next, sending->patience.pause_until - flex_clock_ms());
	return has_token ? next : Min(next, Max(flex_rate_limits_wait_ms(sending->rate), 1));
}

/* Error context callback: tell how far the statement had come. */
static void
describe_sending(void *argument)
{
	Sending *sending = argument;
	int answered = sending->answered;
	int under_way = 0;
	dlist_iter iter;

	dlist_foreach(iter, &sending->elements.under_way)
	{
		const Element *element = dlist_container(Element, node, iter.cur);

		if (element->attempt == NULL)
			continue;
		if (flex_attempt_is_over(element->attempt))
			answered++;
		else
			under_way++;
	}
	errcontext("Flex API requests of %s: %d of %d sent, %d answered, %d under way", sending->many->operation->name,
			   sending->sent, sending->many->count, answered, under_way);
}

/*
 * When the statement fails, note the requests in flight that must not be sent twice: those
 * answered but not yet processed, and those that the service may have carried out.
 */
static void
note_under_way(Sending *sending)
{
	dlist_iter iter;

	HOLD_INTERRUPTS();
	dlist_foreach(iter, &sending->elements.under_way)
	{
		Element *element = dlist_container(Element, node, iter.cur);
		Outcome outcome;

		if (element->is_noted || element->attempt == NULL || element->request->idempotent)
			continue;
		element->is_noted = true;
		if (flex_attempt_is_over(element->attempt))
		{
			outcome = flex_attempt_outcome(element->attempt, element->repeats.was_maybe_done, NULL);
			flex_carried_out_note(sending->carried_out, number_of(sending, element), &outcome);
		}
		else if (flex_attempt_awaits_answer(element->attempt))
			flex_carried_out_note_unknown(sending->carried_out, number_of(sending, element));
	}
	RESUME_INTERRUPTS();
}

/* before_shmem_exit callback: if the session ends in the middle of a statement, log what was carried out. */
static void
tell_at_exit(int code, Datum argument)
{
	Sending *sending = sending_now;

	if (sending == NULL)
		return;
	sending_now = NULL;
	MemoryContextSwitchTo(sending->context);
	note_under_way(sending);
	flex_carried_out_log(sending->carried_out);
}

/* From a PG_CATCH(): add what was carried out to the error's DETAIL and to the log, and rethrow the error. */
pg_noreturn static void
raise_with_carried_out(Sending *sending)
{
	ErrorData *error;

	MemoryContextSwitchTo(sending->context);
	error = flex_error_take();
	note_under_way(sending);
	flex_carried_out_tell(sending->carried_out, error);
	flex_error_rethrow(error);
}

/* Main loop: send all requests, and process their answers. */
static void
send_all(Sending *sending)
{
	while (true)
	{
		int64 next;

		if (flex_patience_is_over(&sending->patience, flex_rates_is_hopeless(sending->rate, sending->patience.ms)))
			give_up(sending);
		next = send_due(sending);
		/* The elements that have just been ended without an answer may have been the last ones. */
		if (sending->elements.ended == sending->many->count)
			return;
		next = Min(next, flex_crowd_advance(sending->elements.crowd));
		if (!take_ended(sending))
			(void) flex_crowd_wait(sending->elements.crowd, next, WAIT_FOR_RATE);
	}
}

/* Return the key of the rate limit that the requests count against. */
RateKey
flex_many_requests_rate(const ManyRequests *many)
{
	return flex_endpoint_rate_key(many->endpoint != NULL ? many->endpoint : many->without_identity, many->operation);
}

/*
 * Send the requests of a statement, and pass their outcomes to many->take().  Credentials and
 * settings are those of the current role.  Errors of make() and take(), and interrupts, are
 * raised; requests in flight are then dropped when the current memory context is deleted.  Not
 * reentrant.
 */
void
flex_many_requests_send(const ManyRequests *many)
{
	static bool is_registered = false;
	const Endpoint *endpoint = many->endpoint != NULL ? many->endpoint : many->without_identity;
	CarriedOut own;
	Traffic unasked = {0};
	Sending sending = {
		.many = many,
		.context = CurrentMemoryContext,
		.rate = flex_many_requests_rate(many),
		.carried_out = many->carried_out != NULL ? many->carried_out : &own,
	};
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_sending,
		.arg = &sending,
	};

	Assert(sending_now == NULL && many->concurrency > 0);
	flex_elements_begin(&sending.elements, many->traffic != NULL ? many->traffic : &unasked);
	sending.patience.ms = flex_repeats_begin(endpoint, sending.rate).deadline - flex_clock_ms();
	sending.patience.at_once = many->concurrency;
	if (many->carried_out == NULL)
		flex_carried_out_begin(&own, many->operation->name);
	sending.progress = flex_progress_begin(many->way, many->operation->name, many->count);
	if (!is_registered)
		before_shmem_exit(tell_at_exit, (Datum) 0);
	is_registered = true;
	sending_now = &sending;
	error_context_stack = &context;
	PG_TRY();
	{
		send_all(&sending);
	}
	PG_CATCH();
	{
		sending_now = NULL;
		raise_with_carried_out(&sending);
	}
	PG_END_TRY();
	error_context_stack = context.previous;
	sending_now = NULL;
	flex_progress_end(sending.progress);
}
