/*
 * page_rows.h
 *		The rows of a page: noted while it is checked, decoded when they are needed.
 */
#ifndef FLEX_PAGE_ROWS_H
#define FLEX_PAGE_ROWS_H

#include "answer/decoder.h"

/* Notes about the elements of an array.  They are reused for one document after another. */
typedef struct RowNotes RowNotes;

/* A position in an array whose elements are rows. */
typedef struct PageRows
{
	const RowNotes *notes; /* NULL: there are no notes about this array */
	int next;              /* index of the next note */
	JsonValue array;
	bool is_scanning; /* the noted rows have all been read, and the scanner reads the rest */
	JsonScanner scanner;
} PageRows;

extern RowNotes *flex_row_notes_create(MemoryContext context, RowDecoder *decoder);
extern bool flex_row_notes_read(RowNotes *notes, JsonScanner *scanner, JsonValue *value);
extern PageRows flex_page_rows_begin(const RowNotes *notes, const JsonValue *array);
extern bool flex_page_rows_next(PageRows *rows, RowDecoder *decoder, Datum *values, bool *nulls);

#endif /* FLEX_PAGE_ROWS_H */
