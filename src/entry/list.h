/*
 * list.h
 *		A function that returns the rows of a list.
 */
#ifndef FLEX_LIST_H
#define FLEX_LIST_H

#include "fmgr.h"

#include "base/compat.h"
#include "http/pages.h"

typedef struct ListCall
{
	HttpRequest *request; /* for the first page */
	const char *member;   /* that has the rows, in UTF-8; NULL: each page tells */
	RowDecoder *decoder;  /* NULL: rows are jsonb */
	int64 max_rows;
} ListCall;

/* Reads a function's arguments. */
typedef ListCall (*ListPreparation)(FunctionCallInfo fcinfo);

extern int64 flex_list_max_rows(const char *function, const NullableDatum *value);
extern Datum flex_list_return(FunctionCallInfo fcinfo, int materialize_flags, ListPreparation prepare);

#endif /* FLEX_LIST_H */
