/*
 * pages.h
 *		An iterator over the rows of a list, which fetches pages as they are needed.
 *
 * Requests: none is sent before the first row is asked for, and none for rows beyond
 * most_rows.  Whether the next page is requested ahead depends on LookAhead: a request in
 * advance saves time, but flex_api.timeout runs from then on.  A page whose timeout has
 * expired because the caller paused is requested anew.
 *
 * Waiting: flex_pages_next_row() waits for a page.  A caller that has other things to wait
 * for calls flex_pages_advance(), which does not wait, and flex_pages_descriptor().
 *
 * Memory: the iterator has a child of the context that was current at its beginning.  It
 * holds connections, credentials and at most two pages.  The first request and everything
 * that PagesOptions points to must live as long.  Rows are allocated in the context that
 * is current when they are asked for.
 *
 * End: flex_pages_end(), or the reset of the context that it was begun in, as after an
 * ERROR.  Both release the connection and erase the credentials, also in the middle of a
 * request.  After an ERROR the iterator can only be rescanned or ended.
 */
#ifndef FLEX_PAGES_H
#define FLEX_PAGES_H

#include "answer/decoder.h"
#include "http/traffic.h"

typedef struct Pages Pages;

/* When the page after the current one is requested. */
typedef enum LookAhead
{
	LOOK_AHEAD_NEVER, /* when its first row is asked for */
	LOOK_AHEAD_LATER, /* ahead from the second page on, until expected_rows: the caller may stop or pause early */
	LOOK_AHEAD_ALWAYS /* as soon as the current page has been received: the caller reads on at once */
} LookAhead;

typedef struct PagesOptions
{
	RowDecoder *decoder; /* of the rows; NULL to return each row as one jsonb column */
	const char *member;  /* name of the array that contains the rows, in UTF-8; NULL if each page tells */
	int64 most_rows;     /* PG_INT64_MAX for all */
	LookAhead look_ahead;
	int64 expected_rows;      /* for LOOK_AHEAD_LATER */
	const Endpoint *endpoint; /* NULL for the endpoint that the settings describe */
	Traffic *traffic;         /* counters to add the requests to, or NULL */
} PagesOptions;

extern int flex_pages_best_size(int64 rows);
extern Pages *flex_pages_begin(const HttpRequest *first, const PagesOptions *options);
extern bool flex_pages_next_row(Pages *pages, Datum *values, bool *nulls);
extern bool flex_pages_advance(Pages *pages);
extern pgsocket flex_pages_descriptor(Pages *pages);
extern void flex_pages_rescan(Pages *pages);
extern void flex_pages_end(Pages *pages);

#endif /* FLEX_PAGES_H */
