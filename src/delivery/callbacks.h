/*
 * callbacks.h
 *		Runs the callbacks that are due, a transaction each.
 */
#ifndef FLEX_CALLBACKS_H
#define FLEX_CALLBACKS_H

#include "datatype/timestamp.h"

#include "delivery/transaction.h"

typedef struct Callbacks
{
	Transaction *transaction;
	bool expected;       /* perhaps one is due */
	TimestampTz next_at; /* when the next is due, for all we know; 0: there is none */
} Callbacks;

extern bool flex_callbacks_may_be_due(const Callbacks *callbacks);
extern bool flex_callbacks_run_next(Callbacks *callbacks);

#endif /* FLEX_CALLBACKS_H */
