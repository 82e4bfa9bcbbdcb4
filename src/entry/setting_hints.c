/*
 * setting_hints.c
 *		Adds a hint to the error for a misspelled setting.
 *
 * The server refuses to SET a name such as flex_api.acount_sid because its prefix is
 * reserved, without saying which setting has a similar name.  A ProcessUtility_hook adds
 * that as a hint.  set_config() and configuration files are not utility statements, and
 * their errors have no hint.
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "tcop/utility.h"

#include "base/compat.h"
#include "base/setting_names.h"
#include "entry/setting_hints.h"

static ProcessUtility_hook_type previous_hook;

/* Return the SET clause of CREATE or ALTER FUNCTION, or NULL. */
static const VariableSetStmt *
set_clause(List *options)
{
	ListCell *cell;

	foreach (cell, options)
	{
		const DefElem *option = lfirst(cell);

		if (strcmp(option->defname, "set") == 0)
			return (const VariableSetStmt *) option->arg;
	}
	return NULL;
}

/* Return the SET that a statement is or contains, or NULL. */
static const VariableSetStmt *
find_set(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_VariableSetStmt:
			return (const VariableSetStmt *) statement;
		case T_AlterRoleSetStmt:
			return ((AlterRoleSetStmt *) statement)->setstmt;
		case T_AlterDatabaseSetStmt:
			return ((AlterDatabaseSetStmt *) statement)->setstmt;
		case T_AlterSystemStmt:
			return ((AlterSystemStmt *) statement)->setstmt;
		case T_CreateFunctionStmt:
			return set_clause(((CreateFunctionStmt *) statement)->options);
		case T_AlterFunctionStmt:
			return set_clause(((AlterFunctionStmt *) statement)->actions);
		default:
			return NULL;
	}
}

/* Error context callback: add the hint to the server's error. */
static void
add_hint(void *name)
{
	int code = geterrcode();

	if (code == ERRCODE_INVALID_NAME || code == ERRCODE_UNDEFINED_OBJECT)
		errhint("Perhaps you meant \"%s\".", (const char *) name);
}

/* ProcessUtility_hook */
static void
run_with_hint(PlannedStmt *statement, const char *text, bool read_only_tree, ProcessUtilityContext context,
			  ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver,
			  QueryCompletion *completion)
{
	const VariableSetStmt *set = find_set(statement->utilityStmt);
	char *closest = set != NULL && set->name != NULL ? flex_setting_closest(set->name) : NULL;
	ErrorContextCallback hint = {.previous = error_context_stack, .callback = add_hint, .arg = closest};
	ProcessUtility_hook_type next = previous_hook != NULL ? previous_hook : standard_ProcessUtility;

	if (closest != NULL)
		error_context_stack = &hint;
	next(statement, text, read_only_tree, context, parameters, environment, receiver, completion);
	if (closest != NULL)
		error_context_stack = hint.previous;
}

/* Install the hook. */
void
flex_setting_hints_install(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = run_with_hint;
}
