/*
 * elements.h
 *		Several requests of one statement that are under way at once.
 */
#ifndef FLEX_ELEMENTS_H
#define FLEX_ELEMENTS_H

#include "lib/ilist.h"

#include "http/crowd.h"
#include "http/repeats.h"
#include "http/traffic.h"

/* One request, from its creation until its outcome has been processed.  It has a memory context of its own. */
typedef struct Element
{
	dlist_node node;
	MemoryContext context;
	int index; /* counted from 0 */
	HttpRequest *request;
	const Endpoint *endpoint;
	Attempt *attempt; /* NULL while it waits for its turn or its repeat */
	Repeats repeats;
	Outcome outcome; /* of its last attempt; without the body while it waits for its repeat */
	bool is_noted;   /* for the caller: the outcome has been taken into account */
} Element;

/* The requests of a statement.  They are begun in the order of their indexes. */
typedef struct Elements
{
	MemoryContext context; /* parent of the elements' contexts */
	Crowd *crowd;
	dlist_head under_way;
	int begun;        /* number of elements ever added */
	int ended;        /* number of those that have ended */
	Traffic *traffic; /* the caller's counters, which requests are added to */
} Elements;

/* Callback that makes the request of an element, in the current context. */
typedef HttpRequest *(*MakeRequest)(void *state, int index);

extern void flex_elements_begin(Elements *elements, Traffic *traffic);
extern int flex_elements_under_way(const Elements *elements);
extern Element *flex_elements_add(Elements *elements, MakeRequest make, void *state);
extern void flex_element_send(Elements *elements, Element *element);
extern bool flex_element_conclude(Elements *elements, Element *element);
extern void flex_element_end(Elements *elements, Element *element);

#endif /* FLEX_ELEMENTS_H */
