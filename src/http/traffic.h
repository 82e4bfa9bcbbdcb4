/*
 * traffic.h
 *		Counters of the requests of a scan or another statement.
 */
#ifndef FLEX_TRAFFIC_H
#define FLEX_TRAFFIC_H

#include "http/verdict.h"

typedef struct Traffic
{
	int64 requests;
	int64 repeats;    /* how many of these were repeats */
	int64 bytes_sent; /* sizes of bodies as transferred, of attempts that are over */
	int64 bytes_received;
	int64 elapsed_us; /* sum over all attempts, even if they ran at the same time */
} Traffic;

extern void flex_traffic_add_end(Traffic *traffic, const Outcome *outcome);

#endif /* FLEX_TRAFFIC_H */
