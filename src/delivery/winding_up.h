/*
 * winding_up.h
 *		How a sender comes to its end: what is under way is settled.
 */
#ifndef FLEX_WINDING_UP_H
#define FLEX_WINDING_UP_H

#include "delivery/callback_schedule.h"
#include "delivery/in_flight.h"
#include "delivery/transaction.h"

/* What a sender has to bring to its end. */
typedef struct UnderWay
{
	Transaction *transaction;
	InFlight *in_flight;
	CallbackSchedule *callbacks;
	MemoryContext context;
} UnderWay;

extern void flex_wind_up_after_error(UnderWay under_way, int sqlerrcode);
extern void flex_wind_up_for_others(UnderWay under_way, const Driver *driver);

#endif /* FLEX_WINDING_UP_H */
