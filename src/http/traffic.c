/*
 * traffic.c
 *		Counters of the requests of a scan or another statement.
 */
#include "postgres.h"

#include "http/traffic.h"

/* Add the bytes and the time of an attempt that is over.  Requests and repeats are counted when they are sent. */
void
flex_traffic_add_end(Traffic *traffic, const Outcome *outcome)
{
	traffic->bytes_sent += outcome->bytes_sent;
	traffic->bytes_received += outcome->bytes_received;
	traffic->elapsed_us += outcome->elapsed_us;
}
