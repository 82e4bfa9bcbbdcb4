/*
 * lookups.h
 *		Fetches of single rows, several at once.
 *
 * The rows come in the order in which the service answers.  What the service does not
 * find is no row.  Requests are sent when the first row is asked for, `concurrency` of
 * them, and one more whenever an answer has been taken.
 *
 * It lives in the context that was current when it was begun: flex_lookups_end(), or the
 * end of that context, lets go of all requests.  After an ERROR it can be ended, no more.
 */
#ifndef FLEX_LOOKUPS_H
#define FLEX_LOOKUPS_H

#include "answer/decoder.h"
#include "http/traffic.h"

typedef struct Lookups Lookups;

typedef struct LookupsOptions
{
	int count;
	int concurrency;
	const Endpoint *endpoint;
	Traffic *traffic;

	/* Makes the request of an element, from 0 on, in the current context. */
	HttpRequest *(*make)(void *state, int index);
	void *state;
} LookupsOptions;

extern Lookups *flex_lookups_begin(const LookupsOptions *options);
extern bool flex_lookups_next_row(Lookups *lookups, RowDecoder *decoder, Datum *values, bool *nulls);
extern bool flex_lookups_advance(Lookups *lookups);
extern pgsocket flex_lookups_descriptor(Lookups *lookups);
extern void flex_lookups_end(Lookups *lookups);

#endif /* FLEX_LOOKUPS_H */
