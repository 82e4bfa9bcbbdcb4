/*
 * declaration.c
 *		Checks that SQL functions are declared as their C functions expect.
 *
 * A superuser can name a C function in a CREATE FUNCTION with any arguments and result.  The
 * C function would take its arguments for those of the extension's own declaration, and
 * crash.  These checks turn that mistake into an error.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "entry/declaration.h"

/* Return true if a function is declared with the arguments that its C function expects. */
static bool
has_arguments(Form_pg_proc procedure, const EntryPoint *entry)
{
	int least = entry->least > 0 ? entry->least : entry->count;

	if (procedure->pronargs < least || procedure->pronargs > entry->count)
		return false;
	for (int i = 0; i < procedure->pronargs; i++)
	{
		Assert(OidIsValid(entry->types[i]));
		if (procedure->proargtypes.values[i] != entry->types[i])
			return false;
	}
	return true;
}

/* Raise 42P13 unless the function that is being called is declared as its C function expects. */
void
flex_declaration_check(FunctionCallInfo fcinfo, const EntryPoint *entry)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
	Form_pg_proc procedure;
	bool same_arguments;
	bool same_result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", fcinfo->flinfo->fn_oid);
	procedure = (Form_pg_proc) GETSTRUCT(tuple);
	same_arguments = fcinfo->nargs == procedure->pronargs && has_arguments(procedure, entry);
	same_result = procedure->proretset == entry->returns_set &&
				  (!OidIsValid(entry->result) || procedure->prorettype == entry->result);
	ReleaseSysCache(tuple);
	if (!same_arguments)
		ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
						errmsg("the definition of function \"%s\" has the wrong arguments",
							   get_func_name(fcinfo->flinfo->fn_oid)),
						errhint("Call the functions that the extension defines.")));
	if (!same_result)
		ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
						errmsg("the definition of function \"%s\" has the wrong result type",
							   get_func_name(fcinfo->flinfo->fn_oid)),
						errhint("Call the functions that the extension defines.")));
}

/* Raise 42P13 unless the columns of a function's result rows have these types. */
void
flex_declaration_check_row(TupleDesc desc, const Oid *types, int count)
{
	bool same = desc->natts == count;

	for (int i = 0; same && i < count; i++)
		same = TupleDescAttr(desc, i)->atttypid == types[i];
	if (!same)
		ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
						errmsg("the definition of a Flex API function has the wrong result columns"),
						errhint("Call the functions that the extension defines.")));
}
