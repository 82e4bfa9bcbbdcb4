/*
 * row_writer.h
 *		Rows of a foreign table that are written: several requests at once.
 */
#ifndef FLEX_ROW_WRITER_H
#define FLEX_ROW_WRITER_H

#include "nodes/bitmapset.h"
#include "nodes/nodes.h"

#include "foreign/remote_table.h"
#include "http/traffic.h"

/*
 * Of one statement and one table.  It lives in the context that was current when it was
 * made; if that ends before flex_row_writer_end(), what the service has carried out is
 * written to the server's log.
 */
typedef struct RowWriter RowWriter;

/* What is to be written in one go; rows are counted from 0 on. */
typedef struct RowsToWrite
{
	int count;

	/* Sets the columns of a row, which last until it is asked again. */
	void (*get)(void *state, int index, Datum *values, bool *nulls);

	/*
	 * A row has been written; values and nulls are what the service says of it, in a
	 * context that lasts until rows are written again, or NULL where that is not wanted.
	 */
	void (*took)(void *state, int index, Datum *values, bool *nulls);
	void *state;
} RowsToWrite;

extern ResourceOperation flex_operation_of_command(CmdType command);
extern bool flex_row_names_itself_by(const Signature *operation, const char *column);
extern bool flex_row_sends_column(const Signature *operation, const char *column);
extern RowWriter *
flex_row_writer_create(RemoteTable *table, ResourceOperation operation, Bitmapset *columns, Oid user, bool wants_rows);
extern void flex_row_writer_write(RowWriter *writer, const RowsToWrite *rows);
extern void flex_row_writer_end(RowWriter *writer);
extern const RemoteTable *flex_row_writer_table(const RowWriter *writer);
extern const Traffic *flex_row_writer_traffic(const RowWriter *writer);

#endif /* FLEX_ROW_WRITER_H */
