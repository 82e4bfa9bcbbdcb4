/*
 * user_mapping.c
 *		SQL entry point that sets a user mapping, with its secrets as a value.
 *
 * CREATE USER MAPPING has the secret in its text, which stands in pg_stat_activity, in
 * the log and in the history of whoever wrote it.  Here it comes as a parameter.  What is
 * done is that command's: its checks of rights, and its event triggers.
 */
#include "postgres.h"

#include "catalog/pg_user_mapping.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/option_list.h"

PG_FUNCTION_INFO_V1(flex_user_mapping_set);

/* The name of a role that means all. */
static bool
is_public(const char *role)
{
	return strcmp(role, "public") == 0;
}

/* The members of an object of strings, as options to be added. */
static List *
options_of_json(Jsonb *json)
{
	JsonbIterator *iterator = JsonbIteratorInit(&json->root);
	JsonbValue value;
	JsonbIteratorToken token;
	char *name = NULL;
	List *options = NIL;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE && value.type == jbvString && name != NULL)
		{
			char *text = pnstrdup(value.val.string.val, value.val.string.len);

			options = lappend(options, makeDefElemExtended(NULL, name, (Node *) makeString(text), DEFELEM_ADD, -1));
		}
		else if (token == WJB_VALUE || token == WJB_ELEM || token == WJB_BEGIN_ARRAY)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("options must be an object of strings")));
	}
	return options;
}

/* The options that the mapping has now, and false when there is no mapping. */
static bool
find_options(Oid server, Oid role, List **options)
{
	HeapTuple tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(server));

	if (!HeapTupleIsValid(tuple))
		return false;
	ReleaseSysCache(tuple);
	/* With a role that has one this finds no other. */
	*options = GetUserMapping(role, server)->options;
	return true;
}

/* The commands that make of some options others: what both have is set, the rest added or dropped. */
static List *
changes_of_options(const List *before, List *after)
{
	List *changes = NIL;
	ListCell *cell;

	foreach (cell, after)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (flex_option_find(before, option->defname) != NULL)
			option->defaction = DEFELEM_SET;
		changes = lappend(changes, option);
	}
	foreach (cell, before)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (flex_option_find(after, option->defname) == NULL)
			changes = lappend(changes, makeDefElemExtended(NULL, option->defname, NULL, DEFELEM_DROP, -1));
	}
	return changes;
}

/* Execute a utility statement, under a text that has no secret. */
static void
execute_statement(Node *statement, const char *text)
{
	PlannedStmt *planned = makeNode(PlannedStmt);

	planned->commandType = CMD_UTILITY;
	planned->canSetTag = false;
	planned->utilityStmt = statement;
	planned->stmt_location = -1;
	planned->stmt_len = 0;
	ProcessUtility(planned, text, false, PROCESS_UTILITY_QUERY, NULL, NULL, None_Receiver, NULL);
}

/* flex_user_mapping_set(server text, role text, options jsonb) RETURNS void */
PGDLLEXPORT Datum
flex_user_mapping_set(PG_FUNCTION_ARGS)
{
	char *server = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *role = text_to_cstring(PG_GETARG_TEXT_PP(1));
	List *options = options_of_json(PG_GETARG_JSONB_P(2));
	Oid server_id = GetForeignServerByName(server, false)->serverid;
	Oid role_id = is_public(role) ? InvalidOid : get_role_oid(role, false);
	RoleSpec *spec = makeNode(RoleSpec);
	List *before;

	spec->roletype = is_public(role) ? ROLESPEC_PUBLIC : ROLESPEC_CSTRING;
	spec->rolename = is_public(role) ? NULL : role;
	spec->location = -1;
	if (find_options(server_id, role_id, &before))
	{
		AlterUserMappingStmt *statement = makeNode(AlterUserMappingStmt);

		statement->user = spec;
		statement->servername = server;
		statement->options = changes_of_options(before, options);
		execute_statement((Node *) statement, "ALTER USER MAPPING");
	}
	else
	{
		CreateUserMappingStmt *statement = makeNode(CreateUserMappingStmt);

		statement->user = spec;
		statement->servername = server;
		statement->options = options;
		execute_statement((Node *) statement, "CREATE USER MAPPING");
	}
	PG_RETURN_VOID();
}
