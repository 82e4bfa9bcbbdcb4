/*
 * modify.h
 *		Execution of INSERT, UPDATE and DELETE on a foreign table.
 */
#ifndef FLEX_MODIFY_H
#define FLEX_MODIFY_H

#include "nodes/execnodes.h"

#include "foreign/scan.h"

extern void flex_modify_begin(ModifyTableState *state, ResultRelInfo *info, List *plan, int subplan, int eflags);
extern void flex_modify_begin_insert(ModifyTableState *state, ResultRelInfo *info);
extern TupleTableSlot *
flex_modify_write_row(EState *state, ResultRelInfo *info, TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern TupleTableSlot **flex_modify_insert_rows(EState *state, ResultRelInfo *info, TupleTableSlot **slots,
												TupleTableSlot **plan_slots, int *count);
extern int flex_modify_rows_at_once(ResultRelInfo *info);
extern const Traffic *flex_modify_traffic(const ResultRelInfo *info);
extern void flex_modify_end(EState *state, ResultRelInfo *info);

/* Direct modification: a DELETE that the scan does itself. */
extern void flex_delete_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *flex_delete_all(ForeignScanState *node);
extern void flex_delete_end(ForeignScanState *node);
extern ScanReport flex_delete_report(ForeignScanState *node);
extern const Traffic *flex_delete_traffic(const ForeignScanState *node);

#endif /* FLEX_MODIFY_H */
