/*
 * explain.h
 *		EXPLAIN of statements on foreign tables.
 */
#ifndef FLEX_EXPLAIN_H
#define FLEX_EXPLAIN_H

#include "nodes/execnodes.h"

struct ExplainState;

extern void flex_explain_scan(ForeignScanState *node, struct ExplainState *explain);
extern void flex_explain_modify(ModifyTableState *state, ResultRelInfo *info, List *plan, int subplan,
								struct ExplainState *explain);
extern void flex_explain_delete(ForeignScanState *node, struct ExplainState *explain);

#endif /* FLEX_EXPLAIN_H */
