/*
 * declaration.c
 *		What an SQL function must look like to have a C function of ours.
 *
 * A superuser can name a C function in a CREATE FUNCTION of any signature; that
 * takes its arguments for what they are in the extension's own.  A mistake there
 * must be an error, and not the end of the server.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "entry/declaration.h"

/* Raise 42P13. */
pg_noreturn static void
raise_definition(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
					errmsg("a Flex API function is defined with other %s than it has", what),
					errhint("Call the functions that the extension defines.")));
}

/* True when a function's definition is the one that its C function expects. */
static bool
takes(Form_pg_proc procedure, const EntryPoint *entry)
{
	int least = entry->least > 0 ? entry->least : entry->count;

	if (procedure->pronargs < least || procedure->pronargs > entry->count)
		return false;
	for (int i = 0; i < procedure->pronargs; i++)
	{
		if (procedure->proargtypes.values[i] != entry->types[i])
			return false;
	}
	return true;
}

/* Raise 42P13 unless the function that is called is defined as its C function expects. */
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
	same_arguments = fcinfo->nargs == procedure->pronargs && takes(procedure, entry);
	same_result = procedure->proretset == entry->returns_set &&
				  (!OidIsValid(entry->result) || procedure->prorettype == entry->result);
	ReleaseSysCache(tuple);
	if (!same_arguments)
		raise_definition("arguments");
	if (!same_result)
		raise_definition("results");
}

/* Raise 42P13 unless the columns of a function's rows have these types. */
void
flex_declaration_check_row(TupleDesc desc, const Oid *types, int count)
{
	bool same = desc->natts == count;

	for (int i = 0; same && i < count; i++)
		same = TupleDescAttr(desc, i)->atttypid == types[i];
	if (!same)
		raise_definition("columns");
}
