/*
 * upgrade.c
 *		SQL entry point by which an upgrade script changes objects of users.
 *
 * While an extension script runs, every object that is created or replaced becomes a member
 * of the extension, and objects of others cannot be replaced.  When an upgrade renames a
 * table, however, views and functions of users that read it must be created again, and
 * privileges must be moved.  This function executes such a statement as if it were not part
 * of the script.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "entry/declaration.h"

PG_FUNCTION_INFO_V1(flex_api_upgrade_others);

/* Execute a statement as if it were not part of a script.  Raises 42501 unless called in a superuser's script. */
PGDLLEXPORT Datum
flex_api_upgrade_others(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.result = VOIDOID, .count = 1, .types = {TEXTOID}};
	char *statement;
	int result;

	flex_declaration_check(fcinfo, &entry);
	if (PG_ARGISNULL(0) || !creating_extension || !superuser())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("this is for upgrade scripts alone")));
	statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
	creating_extension = false;
	PG_TRY();
	{
		SPI_connect();
		result = SPI_execute(statement, false, 0);
		SPI_finish();
	}
	PG_FINALLY();
	{
		creating_extension = true;
	}
	PG_END_TRY();
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
	PG_RETURN_VOID();
}
