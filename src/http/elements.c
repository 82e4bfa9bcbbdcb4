/*
 * elements.c
 *		Several requests of one statement that are under way at once.
 *
 * Each request is an element with a memory context of its own, so that memory usage depends
 * on the number of elements under way, not on that of all.  The attempts at the requests
 * form a crowd.  An element that waits for its repeat counts as under way, so that fewer
 * new ones are begun while the service refuses requests.  The caller decides which element
 * is begun or sent again, and when.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "http/elements.h"

#define DEFERRED_MS 100 /* wait before a repeat after a lack of file descriptors */

/* Initialize *elements, without any element yet.  Contexts will be children of the current one. */
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

/* Return how many elements have been added and have not ended. */
int
flex_elements_under_way(const Elements *elements)
{
	return elements->begun - elements->ended;
}

/* Add an element, and make its request.  The caller must set endpoint and repeats before it is sent. */
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

	Assert(element->attempt == NULL && element->endpoint != NULL);
	element->attempt = flex_crowd_add(elements->crowd, element->request, element->endpoint, element->repeats.deadline);
	flex_attempt_set_owner(element->attempt, element);
	flex_attempt_set_number(element->attempt, ++element->repeats.attempts);
	elements->traffic->requests++;
	elements->traffic->repeats += element->repeats.attempts > 1 ? 1 : 0;
	MemoryContextSwitchTo(before);
}

/*
 * Plan another attempt and return true if that is safe and in time.  If this process had no
 * file descriptor left, wait until other elements that end have closed some.
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
 * Take the outcome of an attempt that is over.  Return true if the request will be repeated;
 * else the outcome is final, and its body is valid until the element ends.
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

/* Free an element.  Deleting its context, which must not be the current one, ends its attempt. */
void
flex_element_end(Elements *elements, Element *element)
{
	Assert(CurrentMemoryContext != element->context);
	dlist_delete(&element->node);
	elements->ended++;
	MemoryContextDelete(element->context);
}
