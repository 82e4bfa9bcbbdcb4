/*
 * lookups.c
 *		Fetches of single rows, several at once; lookups.h has the contract.
 *
 * An element has a memory context of its own, from the moment in which its request is
 * made until its row has been taken: memory is that of the elements under way.  One that
 * waits for its repeat counts as under way, so that a service that refuses is not asked
 * for more.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "foreign/lookups.h"
#include "http/backpressure.h"
#include "http/crowd.h"
#include "http/poller.h"
#include "http/repeats.h"
#include "shared/progress.h"

#define STATUS_NOT_FOUND 404
#define DEFERRED_MS 100 /* until there may be a file descriptor again */

typedef struct Element
{
	dlist_node node;
	MemoryContext context;
	HttpRequest *request;
	Attempt *attempt; /* NULL: it waits for its turn or its repeat */
	bool was_sent;    /* there was one */
	Repeats repeats;
	Outcome outcome; /* of its last attempt */
} Element;

struct Lookups
{
	LookupsOptions options;
	MemoryContext context;
	Crowd *crowd;
	dlist_head elements; /* under way */
	int under_way;
	int begun; /* how many ever were */
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
	lookups->crowd = flex_crowd_create(CROWD_OF_MANY);
	MemoryContextSwitchTo(before);
	dlist_init(&lookups->elements);
	return lookups;
}

/* Send the request of an element, for the first time or again.  Its context is current. */
static void
send_request(Lookups *lookups, Element *element)
{
	element->attempt =
		flex_crowd_add(lookups->crowd, element->request, lookups->options.endpoint, element->repeats.deadline);
	flex_attempt_set_owner(element->attempt, element);
	flex_attempt_set_number(element->attempt, ++element->repeats.attempts);
	lookups->options.traffic->requests++;
	lookups->options.traffic->repeats += element->was_sent ? 1 : 0;
	element->was_sent = true;
}

/*
 * Send the request of an element, for the first time or again, if its turn has come.  Raises
 * what the last attempt came to when it does not come in time.
 */
static void
send_if_due(Lookups *lookups, Element *element)
{
	MemoryContext before = MemoryContextSwitchTo(element->context);
	Turn turn = flex_repeats_look(&element->repeats, element->was_sent ? &element->outcome : NULL);

	if (turn == TURN_NEVER)
		flex_outcome_raise(&element->outcome);
	if (turn == TURN_NOW)
		send_request(lookups, element);
	MemoryContextSwitchTo(before);
}

/* Show other sessions how far it has come. */
static void
show_progress(const Lookups *lookups)
{
	flex_progress_show(lookups->progress, &(ProgressCounts){
											  .done = lookups->begun - lookups->under_way,
											  .total = lookups->options.count,
											  .in_flight = lookups->under_way,
											  .rows = lookups->rows,
										  });
}

/* Begin the next element. */
static void
begin_element(Lookups *lookups)
{
	MemoryContext context = AllocSetContextCreate(lookups->context, "flex_api lookup", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Element *element = palloc0(sizeof(Element));

	element->context = context;
	element->request = lookups->options.make(lookups->options.state, lookups->begun);
	element->repeats = flex_repeats_begin(
		lookups->options.endpoint, flex_endpoint_rate_key(lookups->options.endpoint, element->request->counts_as));
	lookups->begun++;
	lookups->under_way++;
	dlist_push_tail(&lookups->elements, &element->node);
	MemoryContextSwitchTo(lookups->context);
	if (lookups->progress == NULL)
		lookups->progress =
			flex_progress_begin(element->request->way, element->request->operation, lookups->options.count);
	show_progress(lookups);
	MemoryContextSwitchTo(before);
	send_if_due(lookups, element);
}

/* Forget an element. */
static void
end_element(Lookups *lookups, Element *element)
{
	dlist_delete(&element->node);
	lookups->under_way--;
	show_progress(lookups);
	/* The attempt ends with its context. */
	MemoryContextDelete(element->context);
}

/* Send what may be sent now.  Returns the milliseconds until more may be, if no answer comes before. */
static int64
send_due(Lookups *lookups)
{
	int most = Min(lookups->options.concurrency, flex_poller_capacity());
	int64 next = PG_INT32_MAX;
	dlist_iter iter;

	dlist_foreach(iter, &lookups->elements)
	{
		Element *element = dlist_container(Element, node, iter.cur);

		if (element->attempt == NULL)
			send_if_due(lookups, element);
	}
	/* One at the least: what others hold may never be taken while this waits. */
	while (lookups->begun < lookups->options.count && (lookups->under_way == 0 || lookups->under_way < most) &&
		   (lookups->under_way == 0 || !flex_backpressure_is_due()))
	{
		CHECK_FOR_INTERRUPTS();
		begin_element(lookups);
	}
	dlist_foreach(iter, &lookups->elements)
	{
		const Element *element = dlist_container(Element, node, iter.cur);

		if (element->attempt == NULL)
			next = Min(next, Max(element->repeats.resume_at - flex_clock_ms(), 0));
	}
	return next;
}

/* Plan another attempt, where that is safe and in time, or where this process had no file descriptor left. */
static bool
is_to_be_repeated(Element *element)
{
	int64 resume_at = flex_clock_ms() + DEFERRED_MS;

	if (flex_repeats_plan(&element->repeats, &element->outcome))
		return true;
	if (element->outcome.verdict != VERDICT_DEFERRED || resume_at >= element->repeats.deadline)
		return false;
	element->repeats.resume_at = resume_at;
	return true;
}

/* An attempt is over: have the element wait for its repeat, forget it, or make it the current one. */
static void
conclude_attempt(Lookups *lookups, Element *element)
{
	const Outcome *outcome = &element->outcome;

	MemoryContextSwitchTo(element->context);
	element->outcome = flex_attempt_outcome(element->attempt, element->repeats.was_maybe_done, NULL);
	flex_traffic_add_end(lookups->options.traffic, outcome);
	if (is_to_be_repeated(element))
	{
		flex_attempt_end(element->attempt);
		element->attempt = NULL;
		element->outcome.body = NULL;
		element->outcome.body_length = 0;
	}
	else if (flex_outcome_is_good(outcome))
		lookups->current = element;
	else if (outcome->failure_kind != FAILURE_NONE || outcome->answer.http_status != STATUS_NOT_FOUND)
		flex_outcome_raise(outcome);
	MemoryContextSwitchTo(lookups->context);
	if (lookups->current != element && element->attempt != NULL)
		end_element(lookups, element);
}

/*
 * Go on until there is a row, or all have been fetched, or, without waiting, as far as can
 * be.  False when it would have to wait.
 */
static bool
go_on(Lookups *lookups, bool may_wait)
{
	MemoryContext before = MemoryContextSwitchTo(lookups->context);

	while (lookups->current == NULL && (lookups->under_way > 0 || lookups->begun < lookups->options.count))
	{
		int64 next = send_due(lookups);
		Attempt *attempt;

		next = Min(next, flex_crowd_advance(lookups->crowd));
		attempt = flex_crowd_next_finished(lookups->crowd);
		if (attempt != NULL)
			conclude_attempt(lookups, flex_attempt_owner(attempt));
		else if (!may_wait)
			break;
		else
			(void) flex_crowd_wait(lookups->crowd, next, WAIT_FOR_RATE);
	}
	MemoryContextSwitchTo(before);
	return lookups->current != NULL || (lookups->under_way == 0 && lookups->begun == lookups->options.count);
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

	dlist_foreach(iter, &lookups->elements)
	{
		const Element *element = dlist_container(Element, node, iter.cur);

		if (element->attempt == NULL)
			wake_at = Min(wake_at, element->repeats.resume_at);
	}
	return flex_crowd_descriptor(lookups->crowd, wake_at);
}

/* End the fetching, wherever it is. */
void
flex_lookups_end(Lookups *lookups)
{
	MemoryContextDelete(lookups->context);
	pfree(lookups);
}
