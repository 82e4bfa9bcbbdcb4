/*
 * page_rows.h
 *		The rows of a page: noted while it is checked, made when they are asked for.
 */
#ifndef FLEX_PAGE_ROWS_H
#define FLEX_PAGE_ROWS_H

#include "answer/decoder.h"

/* What has been noted of an array in a document; used for one document after the other. */
typedef struct RowNotes RowNotes;

/* A place in the elements of an array, each of which is a row. */
typedef struct PageRows
{
	const RowNotes *notes; /* NULL: there are none of this array */
	int next;              /* of the notes */
	JsonValue array;
	bool is_scanning; /* what is not noted */
	JsonScanner scanner;
} PageRows;

extern RowNotes *flex_row_notes_create(MemoryContext context, RowDecoder *decoder);
extern bool flex_row_notes_read(RowNotes *notes, JsonScanner *scanner, JsonValue *value);
extern PageRows flex_page_rows_begin(const RowNotes *notes, const JsonValue *array);
extern bool flex_page_rows_next(PageRows *rows, RowDecoder *decoder, Datum *values, bool *nulls);

#endif /* FLEX_PAGE_ROWS_H */
