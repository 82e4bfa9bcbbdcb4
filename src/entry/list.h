/*
 * list.h
 *		Returns the rows of a list as a function's result.
 */
#ifndef FLEX_LIST_H
#define FLEX_LIST_H

#include "fmgr.h"

#include "base/compat.h"
#include "http/pages.h"

typedef struct ListCall
{
	HttpRequest *request; /* for the first page */
	const char *member;   /* name of the member with the rows, in UTF-8; NULL: each page says which it is */
	RowDecoder *decoder;  /* NULL: a row is one jsonb value */
	int64 max_rows;       /* PG_INT64_MAX: all */
} ListCall;

/* Reads a function's arguments, and allocates the ListCall's parts in the current context. */
typedef ListCall (*ListPreparation)(FunctionCallInfo fcinfo);

extern int64 flex_list_max_rows(const char *function, const NullableDatum *value);
extern Datum flex_list_return(FunctionCallInfo fcinfo, int materialize_flags, ListPreparation prepare);

#endif /* FLEX_LIST_H */
