/*
 * plan.h
 *		How a scan of a foreign table is planned.
 */
#ifndef FLEX_PLAN_H
#define FLEX_PLAN_H

#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"

#include "foreign/remote_table.h"

/* What a plan tells its scan, besides the values of conditions, which stand in fdw_exprs. */
typedef struct ScanPlan
{
	ResourceOperation operation; /* RESOURCE_LIST or RESOURCE_FETCH */
	int page_size;               /* of a list */
	int64 expected_rows;         /* PG_INT64_MAX: nobody says */
	List *columns;               /* int, of the conditions */
	int keys;                    /* place of the one with ANY among them, or -1 */
	List *needed;                /* int, columns to be read */
	bool reads_first;            /* all rows, before it gives the first */
} ScanPlan;

extern ScanPlan flex_scan_plan(const ForeignScan *scan);
extern void flex_scan_plan_need(ForeignScan *scan, const RemoteTable *table, const Bitmapset *columns);

extern void flex_plan_size(PlannerInfo *root, RelOptInfo *rel, Oid relation);
extern void flex_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relation);
extern ForeignScan *flex_plan_scan(PlannerInfo *root, RelOptInfo *rel, Oid relation, ForeignPath *path, List *tlist,
								   List *clauses, Plan *outer_plan);
extern RowMarkType flex_plan_row_mark(RangeTblEntry *entry, LockClauseStrength strength);

#endif /* FLEX_PLAN_H */
