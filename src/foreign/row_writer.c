/*
 * row_writer.c
 *		Writes rows of a foreign table, by several requests at once.
 *
 * The columns that identify a row (the arguments in the path) and those that the statement
 * sends become the arguments of the resource's create, update or delete operation.  A NULL
 * is left out.  All requests of a batch are built once before the first one is sent, so
 * that a row that cannot be sent raises its error before anything is written.
 *
 * What the service has carried out cannot be rolled back.  Therefore an error reports it
 * in its DETAIL, and the server's log has the complete list.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/effective.h"
#include "base/errors.h"
#include "delivery/many_requests.h"
#include "delivery/rate_limits.h"
#include "foreign/row_writer.h"
#include "http/endpoint.h"
#include "request/request.h"

struct RowWriter
{
	RemoteTable *table;
	ResourceOperation which;
	const Signature *operation;
	Bitmapset *columns;  /* columns to be sent, besides those that identify the row */
	RowDecoder *decoder; /* NULL: rows of answers are not wanted, or there are none */
	Endpoint *endpoint;
	CarriedOut carried_out;
	Traffic traffic;
	int written;                  /* rows of former batches */
	MemoryContext context;        /* of one batch */
	MemoryContextCallback at_end; /* log_unless_over() */
	bool is_over;                 /* flex_row_writer_end() was called */
	const RowsToWrite *rows;      /* of the current batch; NULL between batches */
	Datum *values;                /* of the row that get_row() has got last */
	bool *nulls;
};

/* Return the operation for INSERT, UPDATE or DELETE. */
ResourceOperation
flex_operation_of_command(CmdType command)
{
	Assert(command == CMD_INSERT || command == CMD_UPDATE || command == CMD_DELETE);
	return command == CMD_INSERT ? RESOURCE_CREATE : command == CMD_UPDATE ? RESOURCE_UPDATE : RESOURCE_DELETE;
}

/* Return true if a column identifies the row that an operation writes: its argument is in the request's path. */
bool
flex_row_names_itself_by(const Signature *operation, const char *column)
{
	for (int i = 0; i < operation->count; i++)
	{
		if (operation->parameters[i].place == PLACE_PATH && strcmp(operation->parameters[i].name, column) == 0)
			return true;
	}
	return false;
}

/* Memory context callback: log what was carried out, unless the statement succeeded or that has been logged. */
static void
log_unless_over(void *argument)
{
	RowWriter *writer = argument;

	if (!writer->is_over && !writer->carried_out.is_logged)
		flex_carried_out_log(&writer->carried_out);
}

/* Raise 55000 if flex_api.rate_limits has paused the operation with a rate of 0. */
static void
check_pause(const RowWriter *writer)
{
	const Operation *operation = writer->operation->operation;

	if (flex_rate_limits_is_paused(flex_endpoint_rate_key(writer->endpoint, operation)))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("%s is paused", operation->name),
						errdetail("Its rate in flex_api.rate_limits is 0."),
						errhint("Write when flex_api.rate_limits gives it another rate.")));
}

/*
 * Create a writer, in the current context.  Requests are made as user.  columns are those to
 * be sent; wants_rows: pass the rows of the answers on.  Raises 55000 if the operation is
 * paused, and the errors of flex_endpoint_of_server().
 */
RowWriter *
flex_row_writer_create(RemoteTable *table, ResourceOperation operation, Bitmapset *columns, Oid user, bool wants_rows)
{
	RowWriter *writer = palloc0(sizeof(RowWriter));

	Assert(table->operations[operation] != NULL);
	writer->table = table;
	writer->which = operation;
	writer->operation = table->operations[operation];
	writer->columns = columns;
	flex_effective_check_displaced();
	flex_effective_check_known();
	writer->endpoint = flex_endpoint_of_server(table->server, user);
	check_pause(writer);
	if (wants_rows && operation != RESOURCE_DELETE)
		writer->decoder = flex_remote_table_decoder(table, bms_add_range(NULL, 1, Max(table->desc->natts, 1)));
	writer->context = AllocSetContextCreate(CurrentMemoryContext, "flex_api rows", ALLOCSET_DEFAULT_SIZES);
	writer->values = palloc(sizeof(Datum) * Max(table->desc->natts, 1));
	writer->nulls = palloc(sizeof(bool) * Max(table->desc->natts, 1));
	flex_carried_out_begin(&writer->carried_out, writer->operation->operation->name);
	writer->at_end = (MemoryContextCallback){.func = log_unless_over, .arg = writer};
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &writer->at_end);
	return writer;
}

const RemoteTable *
flex_row_writer_table(const RowWriter *writer)
{
	return writer->table;
}

/* Return the traffic of the writer's requests. */
const Traffic *
flex_row_writer_traffic(const RowWriter *writer)
{
	return &writer->traffic;
}

/* Return the name of a column in SQL. */
static const char *
column_name(const RemoteTable *table, AttrNumber column)
{
	return NameStr(TupleDescAttr(table->desc, column - 1)->attname);
}

/* Raise HV004 if the type of a column does not fit its argument. */
pg_noreturn static void
refuse_type(const RowWriter *writer, const Parameter *parameter, AttrNumber column)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
					errmsg("column \"%s\" of foreign table \"%s\" has type %s, and %s takes %s",
						   column_name(writer->table, column), get_rel_name(writer->table->relation),
						   format_type_be(writer->table->columns[column - 1].type), writer->operation->operation->name,
						   format_type_be(parameter->type)),
					errhint("Use ALTER FOREIGN TABLE ... ALTER COLUMN ... TYPE, or import the table.")));
}

/* Return the value of an argument from the current row; a text is a one-element array if the argument is an array. */
static NullableDatum
value_of_parameter(const RowWriter *writer, const Parameter *parameter)
{
	AttrNumber column = flex_remote_table_column(writer->table, parameter->name);
	bool is_sent = parameter->place == PLACE_PATH || bms_is_member(column, writer->columns);
	Datum value;
	Oid type;

	if (column == InvalidAttrNumber || !is_sent || writer->nulls[column - 1])
		return (NullableDatum){.isnull = true};
	value = writer->values[column - 1];
	type = writer->table->columns[column - 1].type;
	if (type == parameter->type)
		return (NullableDatum){.value = value};
	if (type != TEXTOID || parameter->type != TEXTARRAYOID)
		refuse_type(writer, parameter, column);
	return (NullableDatum){.value = PointerGetDatum(construct_array(&value, 1, TEXTOID, -1, false, TYPALIGN_INT))};
}

/* Return true if an operation has an argument of a column's name. */
bool
flex_row_sends_column(const Signature *operation, const char *name)
{
	for (int i = 0; i < operation->count; i++)
	{
		if (flex_parameter_is_of_table(&operation->parameters[i]) && strcmp(operation->parameters[i].name, name) == 0)
			return true;
	}
	return false;
}

/* Raise HV007 if a new row has a value in a column that is not an argument. */
static void
check_new_row(const RowWriter *writer)
{
	const RemoteTable *table = writer->table;

	for (AttrNumber column = 1; column <= table->desc->natts; column++)
	{
		const char *name = table->columns[column - 1].name;

		if (name == NULL || table->columns[column - 1].is_generated || writer->nulls[column - 1] ||
			flex_row_sends_column(writer->operation, name))
			continue;
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
						errmsg("column \"%s\" of foreign table \"%s\" cannot be inserted", column_name(table, column),
							   get_rel_name(table->relation)),
						errdetail("%s has no such argument: the service sets it.", writer->operation->operation->name),
						errhint("Leave it out, or give NULL.")));
	}
}

/* Get a row of the current batch into writer->values and writer->nulls. */
static void
get_row(RowWriter *writer, int index)
{
	writer->rows->get(writer->rows->state, index, writer->values, writer->nulls);
}

/* Error context callback: the number of the row in the statement. */
static void
describe_row(void *argument)
{
	errcontext("row %d", *(const int *) argument);
}

/* ManyRequests.make: build the request of a row. */
static HttpRequest *
make_request(void *state, int index)
{
	RowWriter *writer = state;
	const Signature *operation = writer->operation;
	NullableDatum *arguments = palloc(sizeof(NullableDatum) * Max(operation->count, 1));
	int number = writer->written + index + 1;
	HttpRequest *request;
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_row,
		.arg = &number,
	};

	error_context_stack = &context;
	get_row(writer, index);
	if (writer->which == RESOURCE_CREATE)
		check_new_row(writer);
	for (int i = 0; i < operation->count; i++)
		arguments[i] = value_of_parameter(writer, &operation->parameters[i]);
	request = flex_request_build(operation->operation, operation->parameters, operation->count, arguments);
	request->way = WAY_FOREIGN;
	error_context_stack = context.previous;
	return request;
}

/* Build each request once, so that one that cannot be built raises its error before anything is sent. */
static void
build_all(RowWriter *writer)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "flex_api check", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);

	for (int i = 0; i < writer->rows->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) make_request(writer, i);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
}

/* The same, but add what the service has carried out of former batches to the error. */
static void
check_rows(RowWriter *writer)
{
	PG_TRY();
	{
		build_all(writer);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(writer->context);
		error = flex_error_take();
		flex_carried_out_tell(&writer->carried_out, error);
		flex_error_rethrow(error);
	}
	PG_END_TRY();
}

/*
 * Read the row of an answer, in the memory context of the batch.  Columns of arguments, which
 * no answer contains, are copied from the row that was sent.
 */
static void
read_row(RowWriter *writer, int index, const Outcome *outcome, Datum *values, bool *nulls)
{
	MemoryContext context = CurrentMemoryContext;

	get_row(writer, index);
	MemoryContextSwitchTo(writer->context);
	PG_TRY();
	{
		flex_decode_body(writer->decoder, outcome->body, outcome->body_length, values, nulls);
	}
	PG_CATCH();
	{
		flex_outcome_raise_unread(outcome, context);
	}
	PG_END_TRY();
	for (int i = 0; i < writer->table->desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(writer->table->desc, i);

		if (!writer->table->columns[i].is_argument)
			continue;
		nulls[i] = writer->nulls[i];
		if (!nulls[i])
			values[i] = datumCopy(writer->values[i], attribute->attbyval, attribute->attlen);
	}
	MemoryContextSwitchTo(context);
}

/* ManyRequests.take: process the outcome of a row's request.  UPDATE and DELETE ignore a row that does not exist. */
static void
take_outcome(void *state, int index, const Outcome *outcome)
{
	RowWriter *writer = state;
	int natts = Max(writer->table->desc->natts, 1);
	Datum *values = NULL;
	bool *nulls = NULL;
	int number = writer->written + index + 1;
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = describe_row,
		.arg = &number,
	};

	error_context_stack = &context;
	if (writer->which != RESOURCE_CREATE && flex_outcome_is_absence(outcome))
	{
		error_context_stack = context.previous;
		return;
	}
	if (!flex_outcome_is_good(outcome))
		flex_outcome_raise(outcome);
	if (writer->decoder != NULL)
	{
		values = MemoryContextAllocZero(writer->context, sizeof(Datum) * natts);
		nulls = MemoryContextAllocZero(writer->context, sizeof(bool) * natts);
		read_row(writer, index, outcome, values, nulls);
	}
	writer->rows->took(writer->rows->state, index, values, nulls);
	error_context_stack = context.previous;
}

/*
 * Write rows.  Raises the errors that a call of the operation raises, with a DETAIL about the
 * rows that the service has written before; those stay written.
 */
void
flex_row_writer_write(RowWriter *writer, const RowsToWrite *rows)
{
	ManyRequests many = {
		.way = WAY_FOREIGN,
		.operation = writer->operation->operation,
		.count = rows->count,
		.concurrency = writer->table->concurrency,
		.endpoint = writer->endpoint,
		.without_identity = writer->endpoint,
		.make = make_request,
		.take = take_outcome,
		.state = writer,
		.carried_out = &writer->carried_out,
		.sent_before = writer->written,
		.traffic = &writer->traffic,
	};
	MemoryContext before;

	MemoryContextReset(writer->context);
	before = MemoryContextSwitchTo(writer->context);
	writer->rows = rows;
	check_rows(writer);
	flex_many_requests_send(&many);
	writer->rows = NULL;
	writer->written += rows->count;
	MemoryContextSwitchTo(before);
}

/* Note that the statement has succeeded as far as this table is concerned. */
void
flex_row_writer_end(RowWriter *writer)
{
	writer->is_over = true;
}
