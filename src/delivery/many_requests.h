/*
 * many_requests.h
 *		The requests of one statement, many at once.
 */
#ifndef FLEX_MANY_REQUESTS_H
#define FLEX_MANY_REQUESTS_H

#include "delivery/carried_out.h"
#include "http/traffic.h"
#include "http/verdict.h"

/* What a statement wants to be sent: elements, by their index from 0 on, of one operation. */
typedef struct ManyRequests
{
	Way way;                    /* that they go, all of them */
	const Operation *operation; /* whose rate is kept */
	int count;
	int concurrency;                  /* elements under way at once */
	const Endpoint *endpoint;         /* NULL where each request brings its own credentials */
	const Endpoint *without_identity; /* for those that do */

	/* Makes the request of an element, in the current context. */
	HttpRequest *(*make)(void *state, int index);

	/*
	 * Takes what it came to, in the order in which they end.  The current context ends
	 * after it; an error ends the statement.
	 */
	void (*take)(void *state, int index, const Outcome *outcome);
	void *state;

	/* Of a statement that sends several times; NULL: this is all that it sends. */
	CarriedOut *carried_out;
	int sent_before;  /* elements, which are counted on from there */
	Traffic *traffic; /* what they were on the wire is added to it; NULL: nobody asks */
} ManyRequests;

extern RateKey flex_many_requests_rate(const ManyRequests *many);
extern void flex_many_requests_send(const ManyRequests *many);

#endif /* FLEX_MANY_REQUESTS_H */
