/*
 * elements.c
 *		The requests of one statement that are under way at once.
 *
 * A crowd of attempts, each of which belongs to an element in a memory context of its own,
 * so that memory is that of the elements under way.  One that waits for its repeat counts
 * as under way: a service that refuses is not asked for more.  Which element is begun or
 * sent again, and when, is for the one who sends them to say.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "http/elements.h"

#define DEFERRED_MS 100 /* until there may be a file descriptor again */

/* None yet, under the current context. */
void
flex_elements_begin(Elements *elements, Traffic *traffic)
{
	Assert(traffic != NULL);
	*elements = (Elements){
		.context = CurrentMemoryContext,
		.crowd = flex_crowd_create(CROWD_OF_MANY),
		.traffic = traffic,
	};
	dlist_init(&elements->under_way);
}

/* How many have been begun and not ended. */
int
flex_elements_under_way(const Elements *elements)
{
	return elements->begun - elements->ended;
}

/* The next element, whose request is made; endpoint and repeats are the caller's to set. */
Element *
flex_elements_add(Elements *elements, MakeRequest make, void *state)
{
	MemoryContext context = AllocSetContextCreate(elements->context, "flex_api element", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Element *element = palloc0(sizeof(Element));

	element->context = context;
	element->index = elements->begun;
	element->request = make(state, element->index);
	MemoryContextSwitchTo(before);
	dlist_push_tail(&elements->under_way, &element->node);
	elements->begun++;
	return element;
}

/* Send the request of an element, for the first time or again. */
void
flex_element_send(Elements *elements, Element *element)
{
	MemoryContext before = MemoryContextSwitchTo(element->context);

	Assert(element->attempt == NULL);
	element->attempt = flex_crowd_add(elements->crowd, element->request, element->endpoint, element->repeats.deadline);
	flex_attempt_set_owner(element->attempt, element);
	flex_attempt_set_number(element->attempt, ++element->repeats.attempts);
	elements->traffic->requests++;
	elements->traffic->repeats += element->repeats.attempts > 1 ? 1 : 0;
	MemoryContextSwitchTo(before);
}

/*
 * Plan another attempt: where that is safe and in time, or where this process had no file
 * descriptor left, which others that end give back.
 */
static bool
plan_repeat(Element *element)
{
	int64 resume_at = flex_clock_ms() + DEFERRED_MS;

	if (flex_repeats_plan(&element->repeats, &element->outcome))
		return true;
	if (element->outcome.verdict != VERDICT_DEFERRED || resume_at >= element->repeats.deadline)
		return false;
	element->repeats.resume_at = resume_at;
	return true;
}

/*
 * The attempt of an element is over: see what it came to.  True when it waits for its
 * repeat; else the outcome is the last, and its body there until the element ends.
 */
bool
flex_element_conclude(Elements *elements, Element *element)
{
	MemoryContext before = MemoryContextSwitchTo(element->context);
	bool waits;

	element->outcome = flex_attempt_outcome(element->attempt, element->repeats.was_maybe_done, NULL);
	flex_traffic_add_end(elements->traffic, &element->outcome);
	waits = plan_repeat(element);
	if (waits)
	{
		flex_attempt_end(element->attempt);
		element->attempt = NULL;
		element->outcome.body = NULL;
		element->outcome.body_length = 0;
	}
	MemoryContextSwitchTo(before);
	return waits;
}

/* Forget an element; its attempt ends with its context, which must not be the current one. */
void
flex_element_end(Elements *elements, Element *element)
{
	Assert(CurrentMemoryContext != element->context);
	dlist_delete(&element->node);
	elements->ended++;
	MemoryContextDelete(element->context);
}
