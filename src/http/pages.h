/*
 * pages.h
 *		A list, page by page, into rows.
 */
#ifndef FLEX_PAGES_H
#define FLEX_PAGES_H

#include "nodes/execnodes.h"

#include "answer/decoder.h"
#include "request/request.h"

extern int64 flex_pages_max_rows(const char *function, const NullableDatum *value);
extern void
flex_pages_fetch(HttpRequest *first, ReturnSetInfo *result, RowDecoder *decoder, const char *member, int64 max_rows);

#endif /* FLEX_PAGES_H */
