/*
 * row_writer.h
 *		Writes rows of a foreign table, by several requests at once.
 */
#ifndef FLEX_ROW_WRITER_H
#define FLEX_ROW_WRITER_H

#include "nodes/bitmapset.h"
#include "nodes/nodes.h"

#include "foreign/remote_table.h"
#include "http/traffic.h"

/*
 * A RowWriter is for one statement and one table, and is allocated in the current memory
 * context.  If the context is deleted before flex_row_writer_end(), the statement has failed,
 * and what the service has carried out is written to the server's log.
 */
typedef struct RowWriter RowWriter;

/* The rows of one call of flex_row_writer_write().  Their indexes begin at 0. */
typedef struct RowsToWrite
{
	int count;

	/* Sets values and nulls to the columns of a row, which remain valid until the next call. */
	void (*get)(void *state, int index, Datum *values, bool *nulls);

	/*
	 * Is called when a row has been written.  values and nulls are the row of the answer,
	 * valid until the next call of flex_row_writer_write(); NULL if rows are not wanted.
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
