/*
 * winding_up.h
 *		Ends a sender: settles the requests in flight, and ends the callbacks' processes.
 */
#ifndef FLEX_WINDING_UP_H
#define FLEX_WINDING_UP_H

#include "delivery/callback_schedule.h"
#include "delivery/in_flight.h"
#include "delivery/transaction.h"

/* The parts of a sender that are needed to end it. */
typedef struct UnderWay
{
	Transaction *transaction;
	InFlight *in_flight;
	CallbackSchedule *callbacks;
	MemoryContext context; /* of the sender, current outside transactions */
} UnderWay;

extern void flex_wind_up_after_error(UnderWay under_way, int sqlerrcode);
extern void flex_wind_up_for_others(UnderWay under_way, const Driver *driver);

#endif /* FLEX_WINDING_UP_H */
