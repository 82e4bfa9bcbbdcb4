/*
 * pages.h
 *		A list, row by row; its pages are fetched as they are needed.
 *
 * The iterator serves whoever reads a list: a function that reads all of it, or
 * a scan that reads a little, begins again and is closed.
 *
 * Requests: none is sent before the first row is asked for, and none for rows
 * beyond most_rows.  With LOOK_AHEAD_ALWAYS a page is asked for when the one before it
 * has come, before its rows are made: the service and the wire work while we do.
 * That is for a caller who reads on at once, since flex_api.timeout runs meanwhile.
 * Without it, a page is asked for when its first row is.  With LOOK_AHEAD_LATER it begins
 * with the second page, and ends with the rows that are expected: for a caller who may
 * stop, or pause, early.  A page that came too late because of a pause is asked for anew.
 *
 * Waiting: flex_pages_next_row() waits for a page.  For a caller who waits for others as
 * well, flex_pages_advance() asks for it and does not wait, and flex_pages_descriptor()
 * is what to wait for.
 *
 * Memory: the iterator has a context of its own, in the one that was current when
 * it was begun; connections, credentials and at most two pages live there.  The
 * first request, the decoder, the member's name and the endpoint must stay as long.  Rows are made in the
 * context that is current when they are asked for.
 *
 * End: flex_pages_end(), or the end of the context that it was begun in, as an
 * ERROR brings it, in the middle of a page or of a request as well.  Either
 * closes or returns the connection and forgets the credentials: there is nothing
 * to catch.  After an ERROR the iterator can be rescanned or ended, no more.
 */
#ifndef FLEX_PAGES_H
#define FLEX_PAGES_H

#include "answer/decoder.h"
#include "http/traffic.h"

typedef struct Pages Pages;

typedef enum LookAhead
{
	LOOK_AHEAD_NEVER,
	LOOK_AHEAD_LATER,
	LOOK_AHEAD_ALWAYS
} LookAhead;

typedef struct PagesOptions
{
	RowDecoder *decoder; /* of the rows; NULL: each is one column of jsonb, whatever it is */
	const char *member;  /* that has the rows, in UTF-8; NULL: each page tells */
	int64 most_rows;     /* PG_INT64_MAX: all */
	LookAhead look_ahead;
	int64 expected_rows;      /* of LOOK_AHEAD_LATER */
	const Endpoint *endpoint; /* where it is read from; NULL: as the settings say */
	Traffic *traffic;         /* that its requests are counted in, or NULL */
} PagesOptions;

extern int flex_pages_best_size(int64 rows);
extern Pages *flex_pages_begin(const HttpRequest *first, const PagesOptions *options);
extern bool flex_pages_next_row(Pages *pages, Datum *values, bool *nulls);
extern bool flex_pages_advance(Pages *pages);
extern pgsocket flex_pages_descriptor(Pages *pages);
extern void flex_pages_rescan(Pages *pages);
extern void flex_pages_end(Pages *pages);

#endif /* FLEX_PAGES_H */
