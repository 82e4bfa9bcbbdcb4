/*
 * wrapper.c
 *		SQL entry points of the foreign-data wrapper: its handler and its validator.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"

#include "base/compat.h"
#include "entry/declaration.h"
#include "foreign/explain.h"
#include "foreign/import.h"
#include "foreign/modify.h"
#include "foreign/modify_plan.h"
#include "foreign/options.h"
#include "foreign/plan.h"
#include "foreign/scan.h"

PG_FUNCTION_INFO_V1(flex_fdw_handler);
PG_FUNCTION_INFO_V1(flex_fdw_validator);

/* flex_fdw_handler() RETURNS fdw_handler */
PGDLLEXPORT Datum
flex_fdw_handler(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.result = FDW_HANDLEROID};
	FdwRoutine *routine;

	flex_declaration_check(fcinfo, &entry);
	routine = makeNode(FdwRoutine);
	routine->GetForeignRelSize = flex_plan_size;
	routine->GetForeignPaths = flex_plan_paths;
	routine->GetForeignPlan = flex_plan_scan;
	routine->GetForeignRowMarkType = flex_plan_row_mark;
	routine->BeginForeignScan = flex_scan_begin;
	routine->IterateForeignScan = flex_scan_next;
	routine->ReScanForeignScan = flex_scan_again;
	routine->EndForeignScan = flex_scan_end;
	routine->IsForeignPathAsyncCapable = flex_scan_is_async_capable;
	routine->ForeignAsyncRequest = flex_scan_request;
	routine->ForeignAsyncConfigureWait = flex_scan_configure_wait;
	/* When the descriptor is readable, the scan tries again as it did at first. */
	routine->ForeignAsyncNotify = flex_scan_request;
	routine->ExplainForeignScan = flex_explain_scan;
	routine->ImportForeignSchema = flex_import_schema;

	routine->IsForeignRelUpdatable = flex_modify_updatable;
	routine->AddForeignUpdateTargets = flex_modify_add_targets;
	routine->PlanForeignModify = flex_modify_plan;
	routine->BeginForeignModify = flex_modify_begin;
	routine->ExecForeignInsert = flex_modify_write_row;
	routine->ExecForeignUpdate = flex_modify_write_row;
	routine->ExecForeignDelete = flex_modify_write_row;
	routine->ExecForeignBatchInsert = flex_modify_insert_rows;
	routine->GetForeignModifyBatchSize = flex_modify_rows_at_once;
	routine->EndForeignModify = flex_modify_end;
	routine->BeginForeignInsert = flex_modify_begin_insert;
	routine->EndForeignInsert = flex_modify_end;
	routine->ExplainForeignModify = flex_explain_modify;
	routine->PlanDirectModify = flex_modify_plan_direct;
	routine->BeginDirectModify = flex_delete_begin;
	routine->IterateDirectModify = flex_delete_all;
	routine->EndDirectModify = flex_delete_end;
	routine->ExplainDirectModify = flex_explain_delete;
	PG_RETURN_POINTER(routine);
}

/* flex_fdw_validator(options text[], catalog oid) RETURNS void */
PGDLLEXPORT Datum
flex_fdw_validator(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.result = VOIDOID, .count = 2, .types = {TEXTARRAYOID, OIDOID}};

	flex_declaration_check(fcinfo, &entry);
	flex_options_check(untransformRelOptions(PG_GETARG_DATUM(0)), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
