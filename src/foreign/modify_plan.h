/*
 * modify_plan.h
 *		Planning of INSERT, UPDATE and DELETE on a foreign table.
 */
#ifndef FLEX_MODIFY_PLAN_H
#define FLEX_MODIFY_PLAN_H

#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
#include "utils/rel.h"

#include "base/compat.h"

/* Name of the junk attribute with the old row in the plan of a DELETE. */
#define FLEX_WHOLE_ROW "wholerow"

extern int flex_modify_updatable(Relation relation);
extern void flex_modify_add_targets(PlannerInfo *root, Index index, RangeTblEntry *entry, Relation relation);
extern List *flex_modify_plan(PlannerInfo *root, ModifyTable *plan, Index index, int subplan);
pg_noreturn extern void flex_modify_refuse_on_conflict(const char *table);
extern bool flex_modify_plan_direct(PlannerInfo *root, ModifyTable *plan, Index index, int subplan);
extern Bitmapset *flex_modify_plan_columns(const List *plan);
extern bool flex_modify_plan_wants_rows(const List *plan);

#endif /* FLEX_MODIFY_PLAN_H */
