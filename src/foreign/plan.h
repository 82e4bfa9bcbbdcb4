/*
 * plan.h
 *		Planning of scans of foreign tables.
 */
#ifndef FLEX_PLAN_H
#define FLEX_PLAN_H

#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"

#include "foreign/remote_table.h"

/* The contents of a plan's fdw_private.  The values of the conditions are in fdw_exprs. */
typedef struct ScanPlan
{
	ResourceOperation operation; /* RESOURCE_LIST or RESOURCE_FETCH */
	int page_size;               /* of a list */
	int64 expected_rows;         /* how many rows will be asked for; PG_INT64_MAX: unknown */
	List *columns;               /* integer list: the columns of the conditions, in the order of fdw_exprs */
	int keys;                    /* index of the condition with ANY in that list, or -1 */
	List *needed;                /* integer list: the columns to be read */
	bool reads_first;            /* the scan reads all rows before it returns the first */
	bool counts_deleted;         /* direct DELETE: its rows count for the command tag (canSetTag) */
} ScanPlan;

extern ScanPlan flex_scan_plan(const ForeignScan *scan);
extern void flex_scan_plan_delete(ForeignScan *scan, const RemoteTable *table, const Bitmapset *columns, bool counts);

extern void flex_plan_size(PlannerInfo *root, RelOptInfo *rel, Oid relation);
extern void flex_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relation);
extern ForeignScan *flex_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relation, ForeignPath *path, List *tlist,
								   List *clauses, Plan *outer_plan);
extern RowMarkType flex_plan_row_mark(RangeTblEntry *entry, LockClauseStrength strength);

#endif /* FLEX_PLAN_H */
