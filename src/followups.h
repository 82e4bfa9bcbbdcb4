/*
 * followups.h
 *		Runs the callbacks that are due, a transaction each.
 */
#ifndef FLEX_FOLLOWUPS_H
#define FLEX_FOLLOWUPS_H

#include "datatype/timestamp.h"

#include "transaction.h"

typedef struct Followups
{
	Transaction *transaction;
	bool expected;       /* perhaps one is due */
	TimestampTz next_at; /* when the next is due, for all we know; 0: there is none */
} Followups;

extern bool flex_followups_may_be_due(const Followups *followups);
extern bool flex_followups_run_next(Followups *followups);

#endif /* FLEX_FOLLOWUPS_H */
