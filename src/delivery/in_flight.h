/*
 * in_flight.h
 *		The requests of the outbox that a sender has in flight.
 */
#ifndef FLEX_IN_FLIGHT_H
#define FLEX_IN_FLIGHT_H

#include "delivery/delivery_counts.h"
#include "delivery/sending.h"

/* Which of the requests in flight are settled. */
typedef enum SettleScope
{
	SETTLE_OVER,   /* those whose attempts have ended */
	SETTLE_UNSENT, /* also those that have not been sent, which become pending again */
	SETTLE_ALL,    /* also those that wait for an answer, which are given up */
	SETTLE_AT_ONCE /* all, in one portion: answers that would take long to read are not read */
} SettleScope;

typedef struct InFlight InFlight;

extern InFlight *flex_in_flight_create(void);
extern int flex_in_flight_count(const InFlight *in_flight);
extern DeliveryCounts flex_in_flight_counts(const InFlight *in_flight);
extern Preparation *flex_in_flight_add(InFlight *in_flight, const Claim *claims, int count);
extern void flex_in_flight_write(InFlight *in_flight);
extern void flex_in_flight_confirm(InFlight *in_flight);
extern void flex_in_flight_start(InFlight *in_flight);
extern long flex_in_flight_receive(InFlight *in_flight);
extern bool flex_in_flight_wait(InFlight *in_flight, long timeout_ms);
extern long flex_in_flight_unsettled_ms(const InFlight *in_flight);
extern bool flex_in_flight_meets(const InFlight *in_flight, Obstacle obstacle);
extern bool flex_in_flight_any_over(const InFlight *in_flight);
extern bool flex_in_flight_must_settle(InFlight *in_flight);
extern long flex_in_flight_patience_ms(const InFlight *in_flight);
extern void flex_in_flight_note_turn(InFlight *in_flight, int64 turn_us);
extern int flex_in_flight_settle(InFlight *in_flight, SettleScope scope);
extern int flex_in_flight_leave(InFlight *in_flight);
extern void flex_in_flight_end_settled(InFlight *in_flight);
extern void flex_in_flight_end_unclaimed(InFlight *in_flight);
extern void flex_in_flight_end_all(InFlight *in_flight);
extern bool flex_in_flight_had_callbacks(InFlight *in_flight);

#endif /* FLEX_IN_FLIGHT_H */
