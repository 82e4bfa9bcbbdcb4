/*
 * page.h
 *		A page of a list, whose rows are read a slice at a time.
 */
#ifndef FLEX_PAGE_H
#define FLEX_PAGE_H

#include "json.h"

typedef struct ListPage
{
	int64 count;                 /* of rows */
	char *url;                   /* of its own, or NULL */
	char *next_url;              /* of the next page, or NULL */
	char *next_token;            /* by which a list without URLs goes on, in UTF-8, or NULL */
	const char *token_parameter; /* that the token is sent in */
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

extern void flex_page_open(ListPage *page, const char *bytes, size_t length, const char *member);
extern JsonNode *flex_page_next_row(ListPage *page);
extern void flex_page_close(ListPage *page);

#endif /* FLEX_PAGE_H */
