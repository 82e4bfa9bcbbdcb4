/*
 * operations.c
 *		SQL entry point of flex_operations(), which shows the catalogue of operations.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "entry/declaration.h"
#include "request/catalogue.h"

PG_FUNCTION_INFO_V1(flex_api_operations);

enum
{
	COLUMN_NAME,
	COLUMN_METHOD,
	COLUMN_PATH,
	COLUMN_REPEATABLE,
	COLUMN_RATE,
	COLUMNS
};

/* flex_operations(): one row per operation. */
PGDLLEXPORT Datum
flex_api_operations(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.returns_set = true};
	static const Oid types[COLUMNS] = {TEXTOID, TEXTOID, TEXTOID, BOOLOID, FLOAT8OID};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const Operation *operation;

	flex_declaration_check(fcinfo, &entry);
	InitMaterializedSRF(fcinfo, 0);
	flex_declaration_check_row(result->setDesc, types, COLUMNS);
	for (int i = 0; (operation = flex_operation_at(i)) != NULL; i++)
	{
		Datum values[COLUMNS];
		bool nulls[COLUMNS] = {false};

		/* flex_request() and the like are in the catalogue, but are not operations of the service. */
		if (operation->custom)
			continue;
		values[COLUMN_NAME] = CStringGetTextDatum(operation->name);
		values[COLUMN_METHOD] = CStringGetTextDatum(operation->method);
		values[COLUMN_PATH] = CStringGetTextDatum(operation->path);
		values[COLUMN_REPEATABLE] = BoolGetDatum(flex_method_is_idempotent(operation->method));
		values[COLUMN_RATE] = Float8GetDatum(operation->rate);
		nulls[COLUMN_RATE] = operation->rate == 0;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}
