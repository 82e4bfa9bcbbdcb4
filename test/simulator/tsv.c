/*
 * tsv.c
 *	  Tables in tab-separated files with a header line. Cells are found by the
 *	  name of their column, so that a new column disturbs no reader; "-"
 *	  stands for nothing, and reads as NULL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "tsv.h"

/* Reads a whole file into memory; NULL, with a message, if it cannot. */
static char *
read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	Text text = {0};
	char block[8192];
	size_t length;

	if (file == NULL)
	{
		fprintf(stderr, "flex_simulator: could not open %s\n", path);
		return NULL;
	}
	while ((length = fread(block, 1, sizeof(block), file)) > 0)
		text_add(&text, block, length);
	fclose(file);
	return text_take(&text);
}

/* How many cells the first line has. */
static int
count_columns(const char *data)
{
	int columns = 1;

	for (; *data != '\0' && *data != '\n'; data++)
		columns += *data == '\t';
	return columns;
}

/* Cuts one line into the cells of a row; short lines leave cells NULL. */
static void
cut_line(Table *table, char *line, int row)
{
	for (int column = 0; column < table->columns; column++)
		table->cells[row * table->columns + column] = strsep(&line, "\t");
}

/* Reads directory/name; false, with a message, if that is not possible. */
bool
table_read(Table *table, const char *directory, const char *name)
{
	Text path = {0};
	char *rest;
	char *line;
	int lines = 1;
	int row = 0;

	text_printf(&path, "%s/%s", directory, name);
	table->data = read_file(path.data);
	text_free(&path);
	if (table->data == NULL)
		return false;
	for (char *byte = table->data; *byte != '\0'; byte++)
		lines += *byte == '\n';
	table->columns = count_columns(table->data);
	table->cells = calloc((size_t) (lines * table->columns), sizeof(char *));
	rest = table->data;
	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0')
			cut_line(table, line, row++);
	table->rows = row - 1;
	return row > 0;
}

/* The cell of a row under a column's name; NULL for "-" and for no such cell. */
const char *
table_cell(const Table *table, int row, const char *column)
{
	for (int i = 0; i < table->columns; i++)
	{
		const char *cell = table->cells[(row + 1) * table->columns + i];

		if (strcmp(table->cells[i], column) == 0)
			return cell == NULL || strcmp(cell, "-") == 0 ? NULL : cell;
	}
	return NULL;
}

/* Frees the table and every cell that came from it. */
void
table_free(Table *table)
{
	free(table->data);
	free(table->cells);
	*table = (Table){0};
}
