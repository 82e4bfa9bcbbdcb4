/*
 * elements.h
 *		The requests of one statement that are under way at once.
 */
#ifndef FLEX_ELEMENTS_H
#define FLEX_ELEMENTS_H

#include "lib/ilist.h"

#include "http/crowd.h"
#include "http/repeats.h"
#include "http/traffic.h"

/* One of them, from the making of its request until what it came to has been taken, in a context of its own. */
typedef struct Element
{
	dlist_node node;
	MemoryContext context;
	int index; /* from 0 on */
	HttpRequest *request;
	const Endpoint *endpoint;
	Attempt *attempt; /* NULL: it waits for its turn or its repeat */
	Repeats repeats;
	Outcome outcome; /* of its last attempt; while it waits, without the body */
	bool is_noted;   /* by the one who sends them: what it came to */
} Element;

/* Elements, which are sent in the order of their numbers. */
typedef struct Elements
{
	MemoryContext context; /* that those of the elements are under */
	Crowd *crowd;
	dlist_head under_way;
	int begun; /* how many ever were */
	int ended;
	Traffic *traffic; /* what they are on the wire is added to it */
} Elements;

/* Makes the request of an element, in the current context. */
typedef HttpRequest *(*MakeRequest)(void *state, int index);

extern void flex_elements_begin(Elements *elements, Traffic *traffic);
extern int flex_elements_under_way(const Elements *elements);
extern Element *flex_elements_add(Elements *elements, MakeRequest make, void *state);
extern void flex_element_send(Elements *elements, Element *element);
extern bool flex_element_conclude(Elements *elements, Element *element);
extern void flex_element_end(Elements *elements, Element *element);

#endif /* FLEX_ELEMENTS_H */
