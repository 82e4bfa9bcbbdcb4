/*
 * callback_argument.c
 *		Looks up the callback that an argument names.
 *
 * This is done when the request is enqueued, by the search_path and with the privileges of
 * the current role, so that a wrong name is an error of the statement that contains it, and
 * not a failure hours later.
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

/* Raise 42501 unless the current role has the privilege EXECUTE on a function. */
void
flex_check_execute(Oid function)
{
	AclResult result = flex_function_aclcheck(function, GetUserId());

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
}

/* Return the signatures of all functions of a name as a text, or NULL if there are none. */
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

/*
 * Among the functions whose only argument is the row, find the one with the most similar
 * name, and return its name as it has to be written; NULL if none is similar.
 */
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

/* Raise 42883 for a name that no function with the row as its argument has. */
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

/*
 * Find the function of a name.  Raises 42602 for an invalid name, 22023 for one with
 * parentheses, 42883 if no function of that name takes the row.
 */
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
 * Return the qualified name of the callback that an argument of the SQL function "asker"
 * names, and set *owner to its owner; NULL for NULL.  Besides the errors of find_callback(),
 * raises 42809 for an aggregate, window function or procedure, 22023 for a temporary
 * function, 42501 if the current role may not execute it.
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
						errdetail("It may not exist, or be another one, when the request has been sent."),
						errhint("Create it in a schema that is not temporary.")));
	flex_check_execute(function);
	*owner = flex_callback_function_owner(function);
	return quote_qualified_identifier(get_namespace_name(get_func_namespace(function)), get_func_name(function));
}
