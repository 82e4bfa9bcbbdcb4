/*
 * lookups.c
 *		Fetches single rows, several at once; see lookups.h.
 *
 * A request is sent when a direct call would be sent (http/repeats): the limits that are set
 * for the outbox do not delay it, but a refusal by the service (status 429) does.
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

struct Lookups
{
	LookupsOptions options;
	MemoryContext context;
	Elements elements;
	int64 rows;         /* returned so far */
	Progress *progress; /* NULL: no request has been made yet */
	Element *current;   /* one that has been answered and whose row has not been returned; or NULL */
};

/* Prepare to fetch; nothing is sent yet. */
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
 * Send the request of an element, for the first time or again, if it is time.  If it must
 * not be sent again, raise the error that the last attempt ended with.
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

/* Show the progress to other sessions. */
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

/* Make the next element, and send its request if it is time. */
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

/* Free an element that is done. */
static void
end_element(Lookups *lookups, Element *element)
{
	flex_element_end(&lookups->elements, element);
	show_progress(lookups);
}

/* Send what may be sent now.  Return the milliseconds until more may be sent if no answer comes before. */
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
	/* Always have one: the memory that backpressure waits for may be held by scans that go on only after this one. */
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

/* After an attempt: let the element wait for its repeat, make it the current one, free it (404), or raise its error. */
static void
conclude_attempt(Lookups *lookups, Element *element)
{
	const Outcome *outcome = &element->outcome;

	if (flex_element_conclude(&lookups->elements, element))
		return;
	if (flex_outcome_is_good(outcome))
		lookups->current = element;
	else if (!flex_outcome_is_absence(outcome))
		flex_outcome_raise(outcome);
	else
		end_element(lookups, element);
}

/* Return true if all rows have been fetched. */
static bool
is_over(const Lookups *lookups)
{
	return lookups->elements.ended == lookups->options.count;
}

/*
 * Go on until there is a current row, or all have been fetched; if may_wait is false, only
 * as far as possible without waiting.  Return false if that was not far enough.
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

/* Error context callback: which answer was being read. */
static void
describe_row(void *argument)
{
	const Element *element = argument;

	errcontext("Flex API request %s %s", element->request->method, element->request->path);
}

/*
 * Read the columns of the next row, in the current context, and set *index to the one that
 * LookupsOptions.make got for it.  Return false if there are no more rows.
 */
bool
flex_lookups_next_row(Lookups *lookups, RowDecoder *decoder, Datum *values, bool *nulls, int *index)
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
	*index = element->index;
	lookups->current = NULL;
	lookups->rows++;
	end_element(lookups, element);
	return true;
}

/* Go on without waiting.  Return true if flex_lookups_next_row() would not wait either. */
bool
flex_lookups_advance(Lookups *lookups)
{
	return go_on(lookups, false);
}

/* After flex_lookups_advance() returned false: a descriptor that becomes readable when it may have something to do. */
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

/* End the fetching, in any state, and release all requests. */
void
flex_lookups_end(Lookups *lookups)
{
	MemoryContextDelete(lookups->context);
	pfree(lookups);
}
