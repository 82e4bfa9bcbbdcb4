/*
 * many_requests.h
 *		Sends the requests of one statement, many at the same time.
 */
#ifndef FLEX_MANY_REQUESTS_H
#define FLEX_MANY_REQUESTS_H

#include "delivery/carried_out.h"
#include "http/traffic.h"
#include "http/verdict.h"

/* What to send: requests of one operation, called elements, numbered from 0. */
typedef struct ManyRequests
{
	Way way;                    /* by what they are sent, for the progress and the statistics */
	const Operation *operation; /* determines the rate limit */
	int count;
	int concurrency;                  /* most elements in flight at the same time, at least 1 */
	const Endpoint *endpoint;         /* may be NULL if all requests contain their own credentials */
	const Endpoint *without_identity; /* for requests that do */

	/* Makes the request of an element, in the current memory context. */
	HttpRequest *(*make)(void *state, int index);

	/*
	 * Is passed the outcome of each element, in the order in which they end.  The current
	 * memory context is deleted afterwards; an error ends the statement.
	 */
	void (*take)(void *state, int index, const Outcome *outcome);
	void *state; /* for make and take */

	/* For a statement that calls us several times: */
	CarriedOut *carried_out; /* of all calls; NULL if this is the only one */
	int sent_before;         /* number of elements of the earlier calls */
	Traffic *traffic;        /* the requests' counts, bytes and times are added to it; NULL if not wanted */
} ManyRequests;

extern RateKey flex_many_requests_rate(const ManyRequests *many);
extern void flex_many_requests_send(const ManyRequests *many);

#endif /* FLEX_MANY_REQUESTS_H */
