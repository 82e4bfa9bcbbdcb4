/*
 * page.h
 *		Parses a page of a list: where its rows are, and where the next page is.
 */
#ifndef FLEX_PAGE_H
#define FLEX_PAGE_H

#include "answer/page_rows.h"

typedef struct ListPage
{
	int64 count;                 /* of rows */
	char *url;                   /* the page's own, or NULL */
	char *next_url;              /* of the next page, or NULL */
	char *next_path;             /* path and query of the next page, if the page gives these instead; or NULL */
	char *next_token;            /* of the next page, in UTF-8, if the list uses tokens; or NULL */
	const char *token_parameter; /* name of the query parameter for the token */
	PageRows rows;               /* positioned at the first row */
} ListPage;

extern void flex_page_open(ListPage *page, const char *bytes, size_t length, const char *member, RowNotes *notes);

#endif /* FLEX_PAGE_H */
