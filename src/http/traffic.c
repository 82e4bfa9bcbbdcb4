/*
 * traffic.c
 *		What requests were on the wire, added up.
 */
#include "postgres.h"

#include "http/traffic.h"

/* An attempt is over. */
void
flex_traffic_add_end(Traffic *traffic, const Outcome *outcome)
{
	traffic->bytes_sent += outcome->bytes_sent;
	traffic->bytes_received += outcome->bytes_received;
	traffic->elapsed_us += outcome->elapsed_us;
}
