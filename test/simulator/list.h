/*
 * list.h
 *	  One page of a list.
 */
#ifndef SIMULATOR_LIST_H
#define SIMULATOR_LIST_H

#include "request.h"
#include "store.h"

extern void answer_page(Request *request, List *list);

#endif
