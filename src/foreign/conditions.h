/*
 * conditions.h
 *		Which conditions of a query are sent, and by which operation a table is read.
 */
#ifndef FLEX_CONDITIONS_H
#define FLEX_CONDITIONS_H

#include "nodes/pathnodes.h"

#include "foreign/remote_table.h"

/* A condition that a request can have: column = value, or column = ANY (value). */
typedef struct RemoteCondition
{
	AttrNumber column;
	bool is_any;
	Expr *value; /* without columns of the table */
} RemoteCondition;

/* One way to read a table. */
typedef struct Access
{
	ResourceOperation operation; /* RESOURCE_LIST or RESOURCE_FETCH */
	List *conditions;            /* RemoteCondition *, of those that its requests have */
	RemoteCondition *keys;       /* the one of them that is_any, or NULL */
	const char *missing;         /* argument that no condition has, or NULL */
	AttrNumber unsent;           /* argument's column that is compared, and not sent; or 0 */
} Access;

extern RemoteCondition *
flex_condition_of_clause(PlannerInfo *root, RelOptInfo *rel, const RemoteTable *table, RestrictInfo *rinfo);
extern List *flex_conditions_of_clauses(PlannerInfo *root, RelOptInfo *rel, const RemoteTable *table, List *rinfos);
extern bool flex_column_is_sent(const RemoteTable *table, AttrNumber column);
extern Bitmapset *flex_compared_arguments(const RelOptInfo *rel, const RemoteTable *table, List *rinfos);
extern bool flex_access_find(const RemoteTable *table, ResourceOperation operation, List *conditions,
							 const Bitmapset *compared, Access *access);

#endif /* FLEX_CONDITIONS_H */
