/*
 * import.c
 *		IMPORT FOREIGN SCHEMA.
 *
 * The tables are derived from the definitions of the operations' functions; no request is
 * sent.  An import can be repeated, for example after an upgrade of the extension: existing
 * tables are left as they are, and a NOTICE tells of each difference from the table that
 * would be created now, with the command that removes it.  A table that cannot be used at all
 * gets a NOTICE, too, instead of an error, which would prevent the import of the others.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/attempt.h"
#include "base/errors.h"
#include "base/option_list.h"
#include "foreign/import.h"
#include "foreign/remote_table.h"

#define SCHEMA "flex"

/* Return the statement that creates the table of a resource. */
static char *
make_statement(const Resource *resource, const char *server)
{
	StringInfoData sql;
	ListCell *cell;
	bool is_first = true;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE IF NOT EXISTS %s (", quote_identifier(resource->name));
	foreach (cell, flex_resource_columns(resource))
	{
		const ResourceColumn *column = lfirst(cell);

		appendStringInfo(&sql, "%s\n\t%s %s", is_first ? "" : ",", quote_identifier(column->name),
						 format_type_be(column->type));
		is_first = false;
	}
	appendStringInfo(&sql, ")\nSERVER %s OPTIONS (resource %s)", quote_identifier(server),
					 quote_literal_cstr(resource->name));
	return sql.data;
}

/* Raise a NOTICE if a table lacks a column, or has it with another type. */
static void
compare_column(const RemoteTable *table, const char *relation, const ResourceColumn *column)
{
	AttrNumber number = flex_remote_table_column(table, column->name);
	const char *name = quote_identifier(column->name);
	const char *type = format_type_be(column->type);

	if (number == InvalidAttrNumber)
		ereport(NOTICE, (errmsg("foreign table %s has no column \"%s\"", relation, column->name),
						 errhint("To have it: ALTER FOREIGN TABLE %s ADD COLUMN %s %s;", relation, name, type)));
	else if (table->columns[number - 1].type != column->type)
		ereport(NOTICE, (errmsg("column \"%s\" of foreign table %s has type %s, not %s", column->name, relation,
								format_type_be(table->columns[number - 1].type), type),
						 errhint("To change it: ALTER FOREIGN TABLE %s ALTER COLUMN %s TYPE %s;", relation,
								 quote_identifier(NameStr(TupleDescAttr(table->desc, number - 1)->attname)), type)));
}

/* Argument of open_table(). */
typedef struct Opening
{
	Oid relation;
	RemoteTable *table; /* the result */
} Opening;

static void
open_table(void *argument)
{
	Opening *opening = argument;

	opening->table = flex_remote_table_open(opening->relation);
}

/* Describe an existing table.  If it cannot be used, raise a NOTICE with the reason, and return NULL. */
static RemoteTable *
open_existing(Oid relation_id, const char *relation)
{
	Opening opening = {.relation = relation_id};
	ErrorData *error = flex_attempt(open_table, &opening);

	if (error == NULL)
		return opening.table;
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_TO_CATEGORY(ERRCODE_FDW_ERROR))
		flex_error_rethrow(error);
	ereport(NOTICE, (errmsg("foreign table %s cannot be used: %s", relation, error->message),
					 error->hint != NULL ? errhint("%s", error->hint) : 0));
	return NULL;
}

/* Raise NOTICEs about how an existing relation, which is locked, differs from the table that would be created. */
static void
compare_table(const Resource *resource, Oid relation_id, const char *schema, Oid server)
{
	const char *relation = quote_qualified_identifier(schema, resource->name);
	RemoteTable *table;
	ListCell *cell;

	if (get_rel_relkind(relation_id) != RELKIND_FOREIGN_TABLE || GetForeignTable(relation_id)->serverid != server)
	{
		ereport(NOTICE, (errmsg("%s is no foreign table of this server", relation)));
		return;
	}
	table = open_existing(relation_id, relation);
	if (table == NULL)
		return;
	if (table->resource != resource)
		ereport(NOTICE, (errmsg("foreign table %s has the resource \"%s\"", relation, table->resource->name)));
	else
	{
		foreach (cell, flex_resource_columns(resource))
			compare_column(table, relation, lfirst(cell));
	}
}

/* Raise HV00R if LIMIT TO names a table that is not a resource. */
static void
check_table_list(const ImportForeignSchemaStmt *statement)
{
	ListCell *cell;

	if (statement->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
		return;
	foreach (cell, statement->table_list)
	{
		const char *name = lfirst_node(RangeVar, cell)->relname;
		const char *closest = flex_resource_closest(name);

		if (flex_resource_find(name) == NULL)
			ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND), errmsg("the Flex API has no resource \"%s\"", name),
							closest != NULL ? errhint("Perhaps you meant \"%s\".", closest) : 0));
	}
}

/* ImportForeignSchema: return the statements that create the tables to be imported. */
List *
flex_import_schema(ImportForeignSchemaStmt *statement, Oid server_id)
{
	ForeignServer *server = GetForeignServer(server_id);
	List *statements = NIL;

	if (strcmp(statement->remote_schema, SCHEMA) != 0)
		ereport(ERROR, (errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
						errmsg("foreign schema \"%s\" does not exist", statement->remote_schema),
						errhint("The Flex API is the schema \"" SCHEMA "\".")));
	if (statement->options != NIL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("invalid option \"%s\"", linitial_node(DefElem, statement->options)->defname),
						errdetail("IMPORT FOREIGN SCHEMA has no options here.")));
	check_table_list(statement);
	for (int i = 0; flex_resource_at(i) != NULL; i++)
	{
		const Resource *resource = flex_resource_at(i);
		Oid relation;

		if (!IsImportableForeignTable(resource->name, statement))
			continue;
		relation =
			RangeVarGetRelid(makeRangeVar(statement->local_schema, pstrdup(resource->name), -1), AccessShareLock, true);
		if (OidIsValid(relation))
			compare_table(resource, relation, statement->local_schema, server_id);
		statements = lappend(statements, make_statement(resource, server->servername));
	}
	return statements;
}
