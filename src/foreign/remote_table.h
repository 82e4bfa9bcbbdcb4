/*
 * remote_table.h
 *		A foreign table: its resource, the operations on it, its columns.
 */
#ifndef FLEX_REMOTE_TABLE_H
#define FLEX_REMOTE_TABLE_H

#include "request/resources.h"
#include "request/signature.h"

typedef struct RemoteColumn
{
	const char *name; /* of the member, and of the argument, if there are such; NULL: dropped */
	Oid type;
	bool is_argument;  /* no answer has it: it reads as what was asked for */
	bool is_generated; /* by the server: it is not sent */
} RemoteColumn;

/* What a foreign table is when it is opened; lives in the context that was current. */
typedef struct RemoteTable
{
	Oid relation;
	Oid server;
	const Resource *resource;
	Signature *operations[RESOURCE_OPERATIONS]; /* NULL: the resource has none */
	int page_size;                              /* 0: as suits the query */
	int concurrency;                            /* requests at once */
	double rows;                                /* estimated */
	TupleDesc desc;                             /* of the table */
	RemoteColumn *columns;                      /* by attribute number, less one */
} RemoteTable;

/* A column that a resource has: of a row, or an argument that no row has. */
typedef struct ResourceColumn
{
	const char *name;
	Oid type;
	bool is_argument;
} ResourceColumn;

extern const Resource *flex_remote_table_resource(Oid relation);
extern RemoteTable *flex_remote_table_open(Oid relation);
extern AttrNumber flex_remote_table_column(const RemoteTable *table, const char *name);
extern RowDecoder *flex_remote_table_decoder(const RemoteTable *table, const Bitmapset *columns);
extern List *flex_resource_columns(const Resource *resource);
extern bool flex_parameter_is_of_table(const Parameter *parameter);

#endif /* FLEX_REMOTE_TABLE_H */
