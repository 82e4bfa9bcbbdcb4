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
	const char *name;  /* of the answer's member, and of the operations' argument; NULL: the column is dropped */
	Oid type;          /* of the column */
	bool is_argument;  /* no answer contains it: it reads as the value that was sent */
	bool is_generated; /* computed by PostgreSQL */
} RemoteColumn;

/* A foreign table, as it is when it is opened. */
typedef struct RemoteTable
{
	Oid relation;
	Oid server;
	const Resource *resource;
	Signature *operations[RESOURCE_OPERATIONS]; /* NULL: the resource has no such operation */
	int page_size;                              /* 0: chosen by the planner */
	int concurrency;                            /* requests at once */
	double rows;                                /* estimate, by the option or a default */
	TupleDesc desc;                             /* a copy of the table's */
	RemoteColumn *columns;                      /* indexed by attribute number - 1 */
} RemoteTable;

/* A column of an imported table: a column of the operations' row type, or an argument that is not among those. */
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
