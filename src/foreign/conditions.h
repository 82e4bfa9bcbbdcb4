/*
 * conditions.h
 *		Finds the conditions of a query that can be sent, and the operations that read a table.
 */
#ifndef FLEX_CONDITIONS_H
#define FLEX_CONDITIONS_H

#include "nodes/pathnodes.h"

#include "foreign/remote_table.h"

/* A condition that a request can contain: column = value, or column = ANY (value). */
typedef struct RemoteCondition
{
	AttrNumber column;
	bool is_any;
	Expr *value; /* contains no column of the table */
} RemoteCondition;

/* One way to read a table: by an operation, with some of the query's conditions as its arguments. */
typedef struct Access
{
	ResourceOperation operation; /* RESOURCE_LIST or RESOURCE_FETCH */
	List *conditions;            /* RemoteCondition *: those that become arguments */
	RemoteCondition *keys;       /* the one of them with is_any, or NULL */
	const char *missing;         /* a required argument that no condition gives, or NULL */
	AttrNumber unsent;           /* an argument's column that the query compares but that is not sent; 0: none */
} Access;

extern RemoteCondition *
flex_condition_of_clause(PlannerInfo *root, RelOptInfo *rel, const RemoteTable *table, RestrictInfo *rinfo);
extern List *flex_conditions_of_clauses(PlannerInfo *root, RelOptInfo *rel, const RemoteTable *table, List *rinfos);
extern bool flex_column_is_sent(const RemoteTable *table, AttrNumber column);
extern Bitmapset *flex_compared_arguments(const RelOptInfo *rel, const RemoteTable *table, List *rinfos);
extern bool flex_access_find(const RemoteTable *table, ResourceOperation operation, List *conditions,
							 const Bitmapset *compared, Access *access);

#endif /* FLEX_CONDITIONS_H */
