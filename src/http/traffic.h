/*
 * traffic.h
 *		What the requests of a scan, or of whatever else counts them, were on the wire.
 */
#ifndef FLEX_TRAFFIC_H
#define FLEX_TRAFFIC_H

#include "http/verdict.h"

typedef struct Traffic
{
	int64 requests;
	int64 repeats;    /* of them */
	int64 bytes_sent; /* of bodies, of those that are over */
	int64 bytes_received;
	int64 elapsed_us; /* the sum: requests that were under way together count each */
} Traffic;

extern void flex_traffic_add_end(Traffic *traffic, const Outcome *outcome);

#endif /* FLEX_TRAFFIC_H */
