/*
 * lookups.c
 *		Fetches of single rows, several at once; lookups.h has the contract.
 *
 * They go when a direct call would go: their rate has to allow it only after a refusal.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "foreign/lookups.h"
#include "http/backpressure.h"
#include "http/elements.h"
#include "http/poller.h"
#include "shared/progress.h"

#define STATUS_NOT_FOUND 404

struct Lookups
{
	LookupsOptions options;
	MemoryContext context;
	Elements elements;
	int64 rows;
	Progress *progress; /* NULL: none has begun */
	Element *current;   /* has been answered with a row that has not been taken; or NULL */
};

/* Begin to fetch.  Sends nothing. */
Lookups *
flex_lookups_begin(const LookupsOptions *options)
{
	Lookups *lookups = palloc0(sizeof(Lookups));
	MemoryContext before;

	Assert(options->concurrency > 0);
	lookups->options = *options;
	lookups->context = AllocSetContextCreate(CurrentMemoryContext, "flex_api lookups", ALLOCSET_DEFAULT_SIZES);
	before = MemoryContextSwitchTo(lookups->context);
	flex_elements_begin(&lookups->elements, options->traffic);
	MemoryContextSwitchTo(before);
	return lookups;
}

/*
 * Send the request of an element, for the first time or again, if its turn has come.  Raises
 * what the last attempt came to when it does not come in time.
 */
static void
send_if_due(Lookups *lookups, Element *element)
{
	MemoryContext before = MemoryContextSwitchTo(element->context);
	Turn turn = flex_repeats_look(&element->repeats, element->repeats.attempts > 0 ? &element->outcome : NULL);

	if (turn == TURN_NEVER)
		flex_outcome_raise(&element->outcome);
	if (turn == TURN_NOW)
		flex_element_send(&lookups->elements, element);
	MemoryContextSwitchTo(before);
}

/* Show other sessions how far it has come. */
static void
show_progress(const Lookups *lookups)
{
	flex_progress_show(lookups->progress, &(ProgressCounts){
											  .done = lookups->elements.ended,
											  .total = lookups->options.count,
											  .in_flight = flex_elements_under_way(&lookups->elements),
											  .rows = lookups->rows,
										  });
}

/* Begin the next element. */
static void
begin_element(Lookups *lookups)
{
	const LookupsOptions *options = &lookups->options;
	Element *element = flex_elements_add(&lookups->elements, options->make, options->state);
	MemoryContext before;

	element->endpoint = options->endpoint;
	element->repeats =
		flex_repeats_begin(options->endpoint, flex_endpoint_rate_key(options->endpoint, element->request->counts_as));
	before = MemoryContextSwitchTo(lookups->context);
	if (lookups->progress == NULL)
		lookups->progress = flex_progress_begin(element->request->way, element->request->operation, options->count);
	show_progress(lookups);
	MemoryContextSwitchTo(before);
	send_if_due(lookups, element);
}

/* Forget an element. */
static void
end_element(Lookups *lookups, Element *element)
{
	flex_element_end(&lookups->elements, element);
	show_progress(lookups);
}

/* Send what may be sent now.  Returns the milliseconds until more may be, if no answer comes before. */
static int64
send_due(Lookups *lookups)
{
	Elements *elements = &lookups->elements;
	int most = Min(lookups->options.concurrency, flex_poller_capacity());
	int64 next = PG_INT32_MAX;
	dlist_iter iter;

	dlist_foreach(iter, &lookups->elements.under_way)
	{
		Element *element = dlist_container(Element, node, iter.cur);

		if (element->attempt == NULL)
			send_if_due(lookups, element);
	}
	/* One at the least: what others hold may never be taken while this waits. */
	while (elements->begun < lookups->options.count &&
		   (flex_elements_under_way(elements) == 0 ||
			(flex_elements_under_way(elements) < most && !flex_backpressure_is_due())))
	{
		CHECK_FOR_INTERRUPTS();
		begin_element(lookups);
	}
	dlist_foreach(iter, &lookups->elements.under_way)
	{
		const Element *element = dlist_container(Element, node, iter.cur);

		if (element->attempt == NULL)
			next = Min(next, Max(element->repeats.resume_at - flex_clock_ms(), 0));
	}
	return next;
}

/* An attempt is over: have the element wait for its repeat, forget it, or make it the current one. */
static void
conclude_attempt(Lookups *lookups, Element *element)
{
	const Outcome *outcome = &element->outcome;

	if (flex_element_conclude(&lookups->elements, element))
		return;
	if (flex_outcome_is_good(outcome))
		lookups->current = element;
	else if (outcome->failure_kind != FAILURE_NONE || outcome->answer.http_status != STATUS_NOT_FOUND)
		flex_outcome_raise(outcome);
	else
		end_element(lookups, element);
}

/* True when all have been fetched. */
static bool
is_over(const Lookups *lookups)
{
	return lookups->elements.ended == lookups->options.count;
}

/*
 * Go on until there is a row, or all have been fetched, or, without waiting, as far as can
 * be.  False when it would have to wait.
 */
static bool
go_on(Lookups *lookups, bool may_wait)
{
	MemoryContext before = MemoryContextSwitchTo(lookups->context);

	while (lookups->current == NULL && !is_over(lookups))
	{
		int64 next = send_due(lookups);
		Attempt *attempt;

		next = Min(next, flex_crowd_advance(lookups->elements.crowd));
		attempt = flex_crowd_next_finished(lookups->elements.crowd);
		if (attempt != NULL)
			conclude_attempt(lookups, flex_attempt_owner(attempt));
		else if (!may_wait)
			break;
		else
			(void) flex_crowd_wait(lookups->elements.crowd, next, WAIT_FOR_RATE);
	}
	MemoryContextSwitchTo(before);
	return lookups->current != NULL || is_over(lookups);
}

/* Tell, in an error's context, which row was being made. */
static void
describe_row(void *argument)
{
	const Element *element = argument;

	errcontext("Flex API request %s %s", element->request->method, element->request->path);
}

/* The columns of the next row, in the current context; false when there is none. */
bool
flex_lookups_next_row(Lookups *lookups, RowDecoder *decoder, Datum *values, bool *nulls)
{
	ErrorContextCallback context = {.previous = error_context_stack, .callback = describe_row};
	Element *element;

	(void) go_on(lookups, true);
	element = lookups->current;
	if (element == NULL)
		return false;
	context.arg = element;
	error_context_stack = &context;
	flex_decode_body(decoder, element->outcome.body, element->outcome.body_length, values, nulls);
	error_context_stack = context.previous;
	lookups->current = NULL;
	lookups->rows++;
	end_element(lookups, element);
	return true;
}

/* Do what the next row needs, without waiting.  True when flex_lookups_next_row() would not wait either. */
bool
flex_lookups_advance(Lookups *lookups)
{
	return go_on(lookups, false);
}

/* A descriptor that is readable when flex_lookups_advance(), which has just returned false, may have something to do. */
pgsocket
flex_lookups_descriptor(Lookups *lookups)
{
	int64 wake_at = PG_INT64_MAX;
	dlist_iter iter;

	dlist_foreach(iter, &lookups->elements.under_way)
	{
		const Element *element = dlist_container(Element, node, iter.cur);

		if (element->attempt == NULL)
			wake_at = Min(wake_at, element->repeats.resume_at);
	}
	return flex_crowd_descriptor(lookups->elements.crowd, wake_at);
}

/* End the fetching, wherever it is. */
void
flex_lookups_end(Lookups *lookups)
{
	MemoryContextDelete(lookups->context);
	pfree(lookups);
}
