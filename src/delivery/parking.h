/*
 * parking.h
 *		When requests of mixed lanes that cannot be sent now are looked at again.
 */
#ifndef FLEX_PARKING_H
#define FLEX_PARKING_H

#include "datatype/timestamp.h"

#include "outbox/claims.h"

/* What keeps a request from being sent now. */
typedef struct Parking
{
	TimestampTz until;
	bool waits_for_operator; /* else for its rate */
	bool is_for_rate;        /* which is worth waiting for */
} Parking;

extern bool flex_parking_is_needed(const Claim *claim, Parking *parking);
extern void flex_parking_forget(void);

#endif /* FLEX_PARKING_H */
