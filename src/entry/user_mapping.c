/*
 * user_mapping.c
 *		SQL entry point of flex_user_mapping_set().
 *
 * CREATE USER MAPPING has the secret in its text, which appears in pg_stat_activity, in the
 * server's log and in the history of the client.  This function takes the secret as a value,
 * which can be a parameter.  It executes the utility statement CREATE or ALTER USER MAPPING,
 * with all its privilege checks and event triggers.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
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
#include "entry/declaration.h"

PG_FUNCTION_INFO_V1(flex_user_mapping_set);

/* Return true for the role name that stands for all roles. */
static bool
is_public(const char *role)
{
	return strcmp(role, "public") == 0;
}

/* Return the members of a JSON object as options to be added.  Raises 22023 unless all values are strings. */
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

/* Set *options to those of an existing mapping.  Return false if there is no mapping. */
static bool
find_options(Oid server, Oid role, List **options)
{
	HeapTuple tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(server));

	if (!HeapTupleIsValid(tuple))
		return false;
	ReleaseSysCache(tuple);
	/* GetUserMapping() falls back to the mapping of PUBLIC, but not for a role that has one. */
	*options = GetUserMapping(role, server)->options;
	return true;
}

/* Return the changes from the options before to those after: SET for those in both, else ADD or DROP. */
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

/* Execute a utility statement.  text is shown instead of the statement's source, which would contain the secret. */
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
	static const EntryPoint entry = {.result = VOIDOID, .count = 3, .types = {TEXTOID, TEXTOID, JSONBOID}};
	RoleSpec *spec = makeNode(RoleSpec);
	char *server;
	char *role;
	List *options;
	List *before;
	Oid server_id;
	Oid role_id;

	flex_declaration_check(fcinfo, &entry);
	server = text_to_cstring(PG_GETARG_TEXT_PP(0));
	role = text_to_cstring(PG_GETARG_TEXT_PP(1));
	options = options_of_json(PG_GETARG_JSONB_P(2));
	server_id = GetForeignServerByName(server, false)->serverid;
	role_id = is_public(role) ? InvalidOid : get_role_oid(role, false);
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
