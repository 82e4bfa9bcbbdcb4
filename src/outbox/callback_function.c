/*
 * callback_function.c
 *		Lookup of callback functions, and the check of their owners.
 *
 * A request stores the names of its callbacks, because OIDs of functions survive neither a
 * dump nor pg_upgrade.  If the function is dropped, any role that may create objects in its
 * schema, or the schema itself, can create another one with its name, which would be called
 * with the rights of the role that enqueued.  Therefore the function's owner is stored, too,
 * and a function of another owner is not called.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "outbox/access.h"
#include "outbox/callback_function.h"

/*
 * Return the function with a name that takes a request's row as its only argument, or InvalidOid, and
 * set *row_type to that argument's type.  It is the row type of the view flex_outbox, or that of the
 * table of requests, which is what callbacks took in the first version.
 */
Oid
flex_callback_function_find(List *names, Oid *row_type)
{
	Oid view = get_relname_relid("flex_outbox", flex_outbox_schema(false));
	Oid types[] = {get_rel_type_id(view), get_rel_type_id(flex_outbox_table())};
	Oid function = InvalidOid;

	for (size_t i = 0; i < lengthof(types) && !OidIsValid(function); i++)
	{
		*row_type = types[i];
		function = LookupFuncName(names, 1, &types[i], true);
	}
	if (!OidIsValid(function))
		*row_type = types[0];
	return function;
}

/* Return the owner of a function. */
Oid
flex_callback_function_owner(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Raise 42501 unless a function belongs to its owner at the time of the enqueueing ("owner"), to the
 * role that enqueued ("role"), or to a superuser.  The latter two gain no rights by it.
 */
void
flex_callback_function_check_owner(const char *name, Oid function, Oid owner, Oid role)
{
	Oid present = flex_callback_function_owner(function);

	if (present == owner || present == role || superuser_arg(present))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("callback %s belongs to role \"%s\", which did not own it when the request was enqueued",
						   name, GetUserNameFromId(present, false)),
					errhint("If it is the intended function, change its owner to the former one, or to the role that "
							"enqueued the request.")));
}
