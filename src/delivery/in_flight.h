/*
 * in_flight.h
 *		The requests of the outbox that a sender has under way.
 */
#ifndef FLEX_IN_FLIGHT_H
#define FLEX_IN_FLIGHT_H

#include "lib/ilist.h"

#include "outbox/rows.h"
#include "request/signature.h"

/* Which of the requests under way are settled. */
typedef enum SettleScope
{
	SETTLE_OVER,   /* those that are over */
	SETTLE_ALL,    /* also those under way, which are given up */
	SETTLE_AT_ONCE /* all, in a moment: answers that take longer are not read */
} SettleScope;

typedef struct InFlight
{
	dlist_head sendings;
	int count;
	bool had_callbacks;    /* some of what was settled */
	MemoryContext context; /* that the requests' own are under */
} InFlight;

extern void flex_in_flight_add(InFlight *in_flight, const Claim *claim, const Signature *signature);
extern void flex_in_flight_confirm(InFlight *in_flight);
extern void flex_in_flight_start(InFlight *in_flight);
extern long flex_in_flight_pump(InFlight *in_flight);
extern bool flex_in_flight_any_over(InFlight *in_flight);
extern int flex_in_flight_settle(InFlight *in_flight, SettleScope scope);
extern void flex_in_flight_end_settled(InFlight *in_flight);
extern void flex_in_flight_end_unclaimed(InFlight *in_flight);
extern void flex_in_flight_end_all(InFlight *in_flight);
extern bool flex_in_flight_had_callbacks(InFlight *in_flight);

#endif /* FLEX_IN_FLIGHT_H */
