/*
 * tsv.h
 *	  Tables in tab-separated files with a header line.
 */
#ifndef SIMULATOR_TSV_H
#define SIMULATOR_TSV_H

#include <stdbool.h>

typedef struct Table
{
	char *data;   /* the file, cut into cells */
	char **cells; /* row after row, header first */
	int rows;     /* without the header */
	int columns;
} Table;

extern bool table_read(Table *table, const char *directory, const char *name);
extern const char *table_cell(const Table *table, int row, const char *column);
extern void table_free(Table *table);

#endif
