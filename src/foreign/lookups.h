/*
 * lookups.h
 *		Fetches single rows, several at once.
 *
 * Rows are returned in the order in which the service answers.  An answer of status 404
 * gives no row.  When the first row is asked for, as many requests as "concurrency" says
 * are sent, and another one whenever an answer has been processed.
 *
 * A Lookups is allocated in the current memory context.  flex_lookups_end(), or the deletion
 * of that context, releases all requests.  After an ERROR it can only be ended.
 */
#ifndef FLEX_LOOKUPS_H
#define FLEX_LOOKUPS_H

#include "answer/decoder.h"
#include "http/traffic.h"

typedef struct Lookups Lookups;

typedef struct LookupsOptions
{
	int count;                /* of rows to fetch */
	int concurrency;          /* requests at once */
	const Endpoint *endpoint; /* of all requests; must live as long as the Lookups */
	Traffic *traffic;         /* to which the requests are added */

	/* Returns the request for the row of an index, from 0 on, in the current context. */
	HttpRequest *(*make)(void *state, int index);
	void *state;
} LookupsOptions;

extern Lookups *flex_lookups_begin(const LookupsOptions *options);
extern bool flex_lookups_next_row(Lookups *lookups, RowDecoder *decoder, Datum *values, bool *nulls, int *index);
extern bool flex_lookups_advance(Lookups *lookups);
extern pgsocket flex_lookups_descriptor(Lookups *lookups);
extern void flex_lookups_end(Lookups *lookups);

#endif /* FLEX_LOOKUPS_H */
