/*
 * callback_argument.c
 *		The callback that an argument names.
 *
 * It is looked up when a request is enqueued, as the current role finds it, so that a name
 * without a function is an error in the statement that is at fault.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#include "base/closest.h"
#include "base/compat.h"
#include "entry/callback_argument.h"
#include "outbox/callback_function.h"
#include "request/arguments.h"

/* Raise 42501 unless the current role may call a function. */
void
flex_check_execute(Oid function)
{
	AclResult result = flex_function_aclcheck(function, GetUserId());

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
}

/* The functions of a callback's name, whatever their arguments are; NULL: there are none. */
static char *
functions_named(List *names)
{
	FuncCandidateList candidates = flex_function_candidates(names);
	StringInfoData text;

	if (candidates == NULL)
		return NULL;
	initStringInfo(&text);
	for (; candidates != NULL; candidates = candidates->next)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", format_procedure(candidates->oid));
	return text.data;
}

/* The function nearest to a name of those that take the row, as it is called; NULL: none is near. */
static const char *
closest_callback(const char *name, Oid row_type)
{
	ClosestName closest = flex_closest_begin(name);
	Relation catalog = table_open(ProcedureRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple tuple;
	Oid function = InvalidOid;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
		int distance = closest.distance;

		if (form->prokind != PROKIND_FUNCTION || form->pronargs != 1 || form->proargtypes.values[0] != row_type)
			continue;
		flex_closest_compare(&closest, NameStr(form->proname));
		if (closest.distance < distance)
			function = form->oid;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	if (!OidIsValid(function))
		return NULL;
	return quote_qualified_identifier(
		FunctionIsVisible(function) ? NULL : get_namespace_name(get_func_namespace(function)), get_func_name(function));
}

/* Raise 42883 for a name of which no function takes the row. */
pg_noreturn static void
refuse_callback(List *names, Oid row_type)
{
	char *others = functions_named(names);
	const char *closest = others != NULL ? NULL : closest_callback(strVal(llast(names)), row_type);

	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
					errmsg("function %s does not exist", func_signature_string(names, 1, NIL, &row_type)),
					others != NULL ? errdetail("The functions of this name are %s.", others) : 0,
					others != NULL    ? errhint("A callback takes one argument: a flex_outbox row.")
					: closest != NULL ? errhint("Perhaps you meant \"%s\".", closest)
									  : errhint("Create the function before, or give its schema, too.")));
}

/* The callback of a name.  Raises 42602 for what is no name, 42883 when no function of it takes the row. */
static Oid
find_callback(const char *asker, const char *argument, const char *name)
{
	List *names;
	Oid row_type;
	Oid function;

	if (strchr(name, '(') != NULL && strchr(name, '"') == NULL)
		flex_argument_refuse_with_hint(asker, argument, name, false,
									   "the name of a function that takes one flex_outbox row",
									   "Give the name alone, without parentheses and types.");
	names = textToQualifiedNameList(cstring_to_text(name));
	function = flex_callback_function_find(names, &row_type);
	if (!OidIsValid(function))
		refuse_callback(names, row_type);
	return function;
}

/*
 * The name of a callback that an argument of a function of ours gives, qualified, and its owner; NULL for NULL.
 * Raises 42883 or 42501 for one that cannot be called.
 */
char *
flex_callback_argument(const char *asker, const char *argument, const char *name, Oid *owner)
{
	Oid function;

	if (name == NULL)
		return NULL;
	function = find_callback(asker, argument, name);
	if (get_func_prokind(function) != PROKIND_FUNCTION)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a plain function", name),
						errhint("A callback is no aggregate, window function or procedure.")));
	if (isAnyTempNamespace(get_func_namespace(function)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("temporary function \"%s\" cannot be a callback", name),
						errdetail("It is gone, or another one, when the request has been sent."),
						errhint("Create it in a schema that is not temporary.")));
	flex_check_execute(function);
	*owner = flex_callback_function_owner(function);
	return quote_qualified_identifier(get_namespace_name(get_func_namespace(function)), get_func_name(function));
}
