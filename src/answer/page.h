/*
 * page.h
 *		A page of a list: where its rows are, and where the next page is.
 */
#ifndef FLEX_PAGE_H
#define FLEX_PAGE_H

#include "answer/page_rows.h"

typedef struct ListPage
{
	int64 count;                 /* of rows */
	char *url;                   /* of its own, or NULL */
	char *next_url;              /* of the next page, or NULL */
	char *next_token;            /* by which a list without URLs goes on, in UTF-8, or NULL */
	const char *token_parameter; /* that the token is sent in */
	PageRows rows;               /* from the first on */
} ListPage;

extern void flex_page_open(ListPage *page, const char *bytes, size_t length, const char *member, RowNotes *notes);

#endif /* FLEX_PAGE_H */
