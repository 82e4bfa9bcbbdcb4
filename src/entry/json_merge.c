/*
 * json_merge.c
 *		SQL entry point of flex_json_merge_patch().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"

#include "answer/merge_patch.h"
#include "base/compat.h"
#include "entry/declaration.h"

PG_FUNCTION_INFO_V1(flex_api_json_merge_patch);

/*
 * flex_json_merge_patch(target, patch).  NULL as the target means that there is no document
 * yet; NULL as the patch leaves the target as it is.
 */
PGDLLEXPORT Datum
flex_api_json_merge_patch(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.result = JSONBOID, .count = 2, .types = {JSONBOID, JSONBOID}};

	flex_declaration_check(fcinfo, &entry);
	if (PG_ARGISNULL(1))
	{
		fcinfo->isnull = PG_ARGISNULL(0);
		return PG_GETARG_DATUM(0);
	}
	PG_RETURN_DATUM(flex_merge_patch(PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0), PG_GETARG_JSONB_P(1)));
}
