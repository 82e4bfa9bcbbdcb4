/*
 * page.h
 *		A page of a list, whose rows are read a slice at a time.
 */
#ifndef FLEX_PAGE_H
#define FLEX_PAGE_H

#include "json.h"

typedef struct ListPage
{
	int64 count;    /* of rows */
	char *next_url; /* NULL: this is the last page */
	/* For this room alone. */
	LexicalFindings findings;
	JsonDocument *document; /* of the slice in hand, an array */
	size_t index;           /* of its next row */
	size_t slice_count;     /* of its rows */
	int64 unparsed;         /* rows behind it */
	const char *at;         /* where these begin and end */
	const char *end;
	int cut; /* where the next slice may end */
} ListPage;

extern void flex_page_open(ListPage *page, const char *bytes, size_t length);
extern JsonNode *flex_page_next_row(ListPage *page);
extern void flex_page_close(ListPage *page);

#endif /* FLEX_PAGE_H */
