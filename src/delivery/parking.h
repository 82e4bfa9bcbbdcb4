/*
 * parking.h
 *		Parks requests of mixed lanes that cannot be sent now.
 */
#ifndef FLEX_PARKING_H
#define FLEX_PARKING_H

#include "datatype/timestamp.h"

#include "outbox/claims.h"

/* What keeps a request from being sent now. */
typedef struct Parking
{
	TimestampTz until;       /* when it is to be looked at again */
	bool waits_for_operator; /* false if it waits for its rate limit */
	bool is_for_rate;        /* it waits for its rate limit, and a drain should wait for it, too */
} Parking;

extern bool flex_parking_is_needed(const Claim *claim, Parking *parking);
extern void flex_parking_forget(void);

#endif /* FLEX_PARKING_H */
