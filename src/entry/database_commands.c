/*
 * database_commands.c
 *		Keeps workers out of databases that must be empty, and wakes them when a
 *		prepared transaction is committed.
 *
 * DROP DATABASE, CREATE DATABASE of a template, and moving or renaming a
 * database fail while anybody is connected to it.  A worker of ours must not be
 * the one: it is asked to leave before the command, and let in again after it.
 *
 * COMMIT PREPARED runs none of the callbacks of the transaction that it commits.
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "base/compat.h"
#include "entry/database_commands.h"
#include "shared/registry.h"

#define PATIENCE_MS 5000 /* the server itself waits so long for others to leave */
#define LOOK_AGAIN_MS 10

static ProcessUtility_hook_type previous_hook;

/* The value of an option of a statement, or NULL. */
static const char *
option_value(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst(cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/* The database that a statement needs empty, or NULL. */
static const char *
database_of(Node *statement)
{
	const char *template;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_CreatedbStmt:
			template = option_value(((CreatedbStmt *) statement)->options, "template");
			return template != NULL ? template : "template1";
		case T_AlterDatabaseStmt:
			if (option_value(((AlterDatabaseStmt *) statement)->options, "tablespace") == NULL)
				return NULL;
			return ((AlterDatabaseStmt *) statement)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType != OBJECT_DATABASE)
				return NULL;
			return ((RenameStmt *) statement)->subname;
		default:
			return NULL;
	}
}

/* Ask the database's worker to leave, and wait until it has, for some time. */
static void
send_worker_away(Oid database)
{
	int64 deadline = flex_clock_ms() + PATIENCE_MS;
	pid_t pid = flex_registry_worker(database);

	if (pid != 0)
		kill(pid, SIGTERM);
	while (flex_registry_worker(database) != 0 && flex_clock_ms() < deadline)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_AGAIN_MS,
						 flex_wait_event("FlexApiWorkerExit"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Run a statement, by whoever comes next. */
static void
run_statement(PlannedStmt *statement, const char *text, bool read_only_tree, ProcessUtilityContext context,
			  ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver,
			  QueryCompletion *completion)
{
	if (previous_hook != NULL)
		previous_hook(statement, text, read_only_tree, context, parameters, environment, receiver, completion);
	else
		standard_ProcessUtility(statement, text, read_only_tree, context, parameters, environment, receiver,
								completion);
}

/* Databases that this transaction has barred. */
static List *barred;

/*
 * The transaction ends: let workers in again, no sooner, for until then a
 * database that was dropped is still in the catalog.
 */
static void
lift_bars(XactEvent event, void *unused)
{
	ListCell *cell;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	foreach (cell, barred)
		(void) flex_registry_bar(lfirst_oid(cell), false);
	list_free(barred);
	barred = NIL;
}

/* Keep workers out of a database until the transaction ends. */
static void
bar_workers(Oid database)
{
	static bool registered = false;
	MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);

	if (!registered)
		RegisterXactCallback(lift_bars, NULL);
	registered = true;
	barred = lappend_oid(barred, database);
	MemoryContextSwitchTo(before);
	if (flex_registry_bar(database, true))
		send_worker_away(database);
}

/* True when anybody may copy a database who may create one. */
static bool
is_template(Oid database)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool result = HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/* True when the current role may create databases. */
static bool
may_create_databases(void)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	bool result = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/*
 * True when the statement can succeed as far as rights go: nobody else may send
 * a worker away.
 */
static bool
is_permitted(Node *statement, Oid database)
{
	if (superuser())
		return true;
	if (IsA(statement, CreatedbStmt))
		return may_create_databases() && (is_template(database) || flex_owns_database(database, GetUserId()));
	return flex_owns_database(database, GetUserId());
}

/* True for COMMIT PREPARED. */
static bool
commits_prepared(Node *statement)
{
	return IsA(statement, TransactionStmt) && ((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

/* What has been committed may be a request, or the extension itself.  A database without it needs no worker. */
static void
wake_if_extension_exists(void)
{
	/* What was prepared may have made it. */
	AcceptInvalidationMessages();
	InvalidateCatalogSnapshot();
	if (OidIsValid(get_extension_oid("flex_api", true)))
		flex_registry_wake(MyDatabaseId);
}

/* ProcessUtility_hook; see the file's head. */
static void
see_statement(PlannedStmt *statement, const char *text, bool read_only_tree, ProcessUtilityContext context,
			  ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver,
			  QueryCompletion *completion)
{
	Node *node = statement->utilityStmt;
	const char *name = database_of(node);
	/* All but renaming is refused in a transaction block. */
	bool may_run = IsA(node, RenameStmt) || (context == PROCESS_UTILITY_TOPLEVEL && !IsTransactionBlock());
	Oid database = name != NULL && may_run ? get_database_oid(name, true) : InvalidOid;
	/* Asked now: a statement that ends its transaction may have freed its own tree. */
	bool is_commit = commits_prepared(node);

	if (!OidIsValid(database) || database == MyDatabaseId || !is_permitted(node, database))
	{
		run_statement(statement, text, read_only_tree, context, parameters, environment, receiver, completion);
		if (is_commit)
			wake_if_extension_exists();
		return;
	}
	PG_TRY();
	{
		bar_workers(database);
		run_statement(statement, text, read_only_tree, context, parameters, environment, receiver, completion);
	}
	PG_CATCH();
	{
		/* Let workers in again: the transaction may go on. */
		barred = list_delete_oid(barred, database);
		(void) flex_registry_bar(database, false);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Look at the server's utility statements from now on. */
void
flex_database_commands_install(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = see_statement;
}
