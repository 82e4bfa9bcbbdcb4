/*
 * callback_function.c
 *		Which function a callback's name is, and whose.
 *
 * A request keeps its callbacks by name, for OIDs of functions survive neither a dump
 * nor pg_upgrade.  A name that its owner has given up is anybody's who may create
 * something in that schema, or the schema itself.  So the owner is kept, too, and
 * what belongs to another is not called: it would act as the role that enqueued.
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
 * The function of a name that takes a request's row, and the type of that, or
 * InvalidOid.  In the first version readers had the table itself: for its type a row is cast.
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

/* The owner of a function. */
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
 * Raise 42501 when a function belongs to neither its owner at the time of the request,
 * nor the role that enqueued, nor a superuser, who need none of these ways.
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
