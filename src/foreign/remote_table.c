/*
 * remote_table.c
 *		A foreign table: its resource, the operations on it, its columns.
 *
 * The columns of an imported table follow from the definitions of the operations' functions:
 * first those of the row type that they return, in its order, and then the arguments that
 * are not among those.  A table may lack some of them, and may have others: such a column
 * reads the member of its name, should the service send one, and is NULL otherwise.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/option_list.h"
#include "base/settings.h"
#include "foreign/remote_table.h"
#include "outbox/access.h"

#define DEFAULT_ROWS 1000 /* as the ROWS of the list functions */

/*
 * Find the signatures of a resource's operations, in the current context.  Raises 42883 if
 * a function is missing, as when the library is newer than the extension's objects.
 */
static void
find_operations(const Resource *resource, Signature *operations[RESOURCE_OPERATIONS])
{
	Oid schema = flex_outbox_schema(false);

	for (int i = 0; i < RESOURCE_OPERATIONS; i++)
	{
		const Operation *operation = flex_resource_operation(resource, i);

		operations[i] = operation != NULL ? flex_signature_of_operation(operation, schema) : NULL;
		if (operation != NULL && operations[i] == NULL)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function %s is missing", operation->name),
							errhint("Run ALTER EXTENSION flex_api UPDATE.")));
	}
}

/* Return true for an argument that can be a column: neither a secret, nor one that only controls paging. */
bool
flex_parameter_is_of_table(const Parameter *parameter)
{
	return parameter->place != PLACE_NOWHERE && !parameter->rule->secret && strcmp(parameter->name, "page_size") != 0;
}

static const ResourceColumn *
find_column(const List *columns, const char *name)
{
	ListCell *cell;

	foreach (cell, columns)
	{
		const ResourceColumn *column = lfirst(cell);

		if (strcmp(column->name, name) == 0)
			return column;
	}
	return NULL;
}

/* Append a column to a list. */
static List *
add_column(List *columns, const char *name, Oid type, bool is_argument)
{
	ResourceColumn *column = palloc(sizeof(ResourceColumn));

	*column = (ResourceColumn){.name = name, .type = type, .is_argument = is_argument};
	return lappend(columns, column);
}

/* Return the columns of a resource with these operations, as a list of ResourceColumn. */
static List *
columns_of_operations(Signature *const operations[RESOURCE_OPERATIONS])
{
	/* If operations have an argument of the same name, the type is that of an operation that writes it. */
	static const ResourceOperation order[] = {RESOURCE_CREATE, RESOURCE_UPDATE, RESOURCE_LIST, RESOURCE_FETCH,
											  RESOURCE_DELETE};
	TupleDesc row = NULL;
	List *columns = NIL;

	for (int i = 0; i < RESOURCE_OPERATIONS && row == NULL; i++)
	{
		if (operations[i] != NULL && i != RESOURCE_DELETE)
			row = flex_decoder_desc(flex_signature_decoder(operations[i]));
	}
	Assert(row != NULL);
	for (int i = 0; i < row->natts; i++)
		columns = add_column(columns, NameStr(TupleDescAttr(row, i)->attname), TupleDescAttr(row, i)->atttypid, false);
	for (size_t i = 0; i < lengthof(order); i++)
	{
		const Signature *operation = operations[order[i]];

		for (int j = 0; operation != NULL && j < operation->count; j++)
		{
			const Parameter *parameter = &operation->parameters[j];

			if (flex_parameter_is_of_table(parameter) && find_column(columns, parameter->name) == NULL)
				columns = add_column(columns, parameter->name, parameter->type, true);
		}
	}
	return columns;
}

/* Return the columns that an imported table of a resource has, as a list of ResourceColumn. */
List *
flex_resource_columns(const Resource *resource)
{
	Signature *operations[RESOURCE_OPERATIONS];

	find_operations(resource, operations);
	return columns_of_operations(operations);
}

/* Return the name that a column has in the service: the option column_name, or else its own. */
static const char *
remote_name(Oid relation, AttrNumber number, const char *name)
{
	const char *option = flex_option_find(GetForeignColumnOptions(relation, number), "column_name");

	return option != NULL ? option : pstrdup(name);
}

/* Describe a column.  known are the columns of its resource.  Raises HV004 if members cannot be read into its type. */
static void
describe_column(RemoteColumn *column, Oid relation, Form_pg_attribute attribute, const List *known)
{
	const ResourceColumn *resource_column;

	column->type = attribute->atttypid;
	if (attribute->attisdropped)
		return;
	column->name = remote_name(relation, attribute->attnum, NameStr(attribute->attname));
	resource_column = find_column(known, column->name);
	column->is_argument = resource_column != NULL && resource_column->is_argument;
	if (!column->is_argument && !column->is_generated && !flex_decoder_has_type(column->type))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" of foreign table \"%s\" has type %s, which no member of an answer has",
						NameStr(attribute->attname), get_rel_name(relation), format_type_be(column->type)),
				 resource_column != NULL ? errhint("Give it the type %s.", format_type_be(resource_column->type))
										 : errhint("The types are text, boolean, integer, bigint, double precision, "
												   "timestamp with time zone and jsonb.")));
}

/* Return the name of a table's resource: the option resource, or else the table's name. */
static const char *
resource_name(const ForeignTable *table)
{
	const char *name = flex_option_find(table->options, "resource");

	return name != NULL ? name : get_rel_name(table->relid);
}

/* Return the resource of a foreign table, or NULL if there is none of that name. */
const Resource *
flex_remote_table_resource(Oid relation)
{
	return flex_resource_find(resource_name(GetForeignTable(relation)));
}

/* The same, but raise HV00R if there is none. */
static const Resource *
resource_of_table(const ForeignTable *table)
{
	const char *name = resource_name(table);
	const Resource *resource = flex_resource_find(name);

	if (resource == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND), errmsg("the Flex API has no resource \"%s\"", name),
						errhint("Give the foreign table the option resource.")));
	return resource;
}

/* Raise HV007 if two columns have the same name in the service: only one of them would be read or sent. */
static void
check_names_differ(const RemoteTable *table)
{
	for (AttrNumber column = 1; column <= table->desc->natts; column++)
	{
		const char *name = table->columns[column - 1].name;
		AttrNumber first = name != NULL ? flex_remote_table_column(table, name) : column;

		if (first != column)
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
							errmsg("columns \"%s\" and \"%s\" of foreign table \"%s\" both stand for \"%s\"",
								   NameStr(TupleDescAttr(table->desc, first - 1)->attname),
								   NameStr(TupleDescAttr(table->desc, column - 1)->attname),
								   get_rel_name(table->relation), name),
							errhint("Drop one of them, or change its option column_name.")));
	}
}

/*
 * Describe a foreign table, in the current context.  The caller holds a lock on it.  Raises
 * HV00R if the table has no resource, HV004 for a column's type, HV007 for two columns of the
 * same member, 42883 for a missing function.
 */
RemoteTable *
flex_remote_table_open(Oid relation_id)
{
	RemoteTable *table = palloc0(sizeof(RemoteTable));
	ForeignTable *foreign = GetForeignTable(relation_id);
	ForeignServer *server = GetForeignServer(foreign->serverid);
	Relation relation = table_open(relation_id, NoLock);
	int page_size = flex_option_integer(server->options, "page_size", 0, 0);
	int concurrency = flex_option_integer(server->options, "concurrency", 0, flex_settings.concurrency);
	List *known;

	table->relation = relation_id;
	table->server = foreign->serverid;
	table->resource = resource_of_table(foreign);
	table->page_size = flex_option_integer(foreign->options, "page_size", 0, page_size);
	table->concurrency = flex_option_integer(foreign->options, "concurrency", 0, concurrency);
	table->rows = flex_option_number(foreign->options, "rows", DEFAULT_ROWS);
	table->desc = CreateTupleDescCopy(RelationGetDescr(relation));
	table->columns = palloc0(sizeof(RemoteColumn) * Max(table->desc->natts, 1));
	for (int i = 0; i < table->desc->natts; i++)
		table->columns[i].is_generated = TupleDescAttr(RelationGetDescr(relation), i)->attgenerated != '\0';
	table_close(relation, NoLock);
	find_operations(table->resource, table->operations);
	known = columns_of_operations(table->operations);
	for (int i = 0; i < table->desc->natts; i++)
		describe_column(&table->columns[i], relation_id, TupleDescAttr(table->desc, i), known);
	check_names_differ(table);
	if (table->operations[RESOURCE_LIST] == NULL && table->resource->key == NULL)
		table->rows = 1;
	return table;
}

/* Return the number of the column for a member or argument, or InvalidAttrNumber. */
AttrNumber
flex_remote_table_column(const RemoteTable *table, const char *name)
{
	for (int i = 0; i < table->desc->natts; i++)
	{
		if (table->columns[i].name != NULL && strcmp(table->columns[i].name, name) == 0)
			return i + 1;
	}
	return InvalidAttrNumber;
}

/*
 * Create a decoder of the table's rows, in the current context.  It reads the columns with
 * these numbers; the others will be NULL, and so will those of arguments.
 */
RowDecoder *
flex_remote_table_decoder(const RemoteTable *table, const Bitmapset *columns)
{
	TupleDesc desc = CreateTupleDescCopy(table->desc);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		/* The decoder leaves dropped columns NULL. */
		if (table->columns[i].is_argument || !bms_is_member(i + 1, columns))
			attribute->attisdropped = true;
		if (table->columns[i].name != NULL)
			namestrcpy(&attribute->attname, table->columns[i].name);
	}
	return flex_decoder_create(desc);
}
