/*
 * database_commands.c
 *		Keeps workers out of databases to which nobody may be connected, and wakes them
 *		when a prepared transaction is committed.
 *
 * DROP DATABASE, CREATE DATABASE with a template, and moving or renaming a database fail
 * while anybody is connected to it.  An outbox worker must not be the reason.  Therefore a
 * ProcessUtility_hook terminates the worker before such a command, and bars workers from
 * the database until the transaction ends.
 *
 * COMMIT PREPARED does not run the transaction callbacks of the session that prepared the
 * transaction (wake.c), so the hook wakes the worker.
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

#define PATIENCE_MS 5000 /* as CountOtherDBBackends() waits for other processes */
#define LOOK_AGAIN_MS 10

static ProcessUtility_hook_type previous_hook;

/* Return the value of an option of a statement, or NULL. */
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

/* Return the name of the database to which nobody may be connected during a statement, or NULL. */
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

/* Terminate the database's worker, and wait until it has exited, for PATIENCE_MS at most. */
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

/* Call the next hook, or standard_ProcessUtility(). */
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

/* OIDs of the databases that this transaction has barred, in TopMemoryContext. */
static List *barred;

/*
 * Transaction callback: let workers in again.  Not earlier, because until the transaction
 * ends other processes still see a dropped database in the catalog.
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

/* Keep workers out of a database until the transaction ends, and terminate the one that is there. */
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

/* Return true if a database may be copied by any role with CREATEDB. */
static bool
is_template(Oid database)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool result = HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/* Return true if the current role may create databases. */
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
 * Return true if the current role has the privileges for the statement.  Without this
 * check, any role could terminate the worker of any database.
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

/* Return true for COMMIT PREPARED. */
static bool
commits_prepared(Node *statement)
{
	return IsA(statement, TransactionStmt) && ((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

/* After COMMIT PREPARED: wake the worker if the database has the extension, for there may be new requests. */
static void
wake_if_extension_exists(void)
{
	/* The prepared transaction may have created the extension. */
	AcceptInvalidationMessages();
	InvalidateCatalogSnapshot();
	if (OidIsValid(get_extension_oid("flex_api", true)))
		flex_registry_wake(MyDatabaseId);
}

/* ProcessUtility_hook */
static void
process_utility(PlannedStmt *statement, const char *text, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver,
				QueryCompletion *completion)
{
	Node *node = statement->utilityStmt;
	const char *name = database_of(node);
	/* All these statements but RENAME are refused in a transaction block; then no worker has to leave. */
	bool may_run = IsA(node, RenameStmt) || (context == PROCESS_UTILITY_TOPLEVEL && !IsTransactionBlock());
	Oid database = name != NULL && may_run ? get_database_oid(name, true) : InvalidOid;
	/* Determined now, because a statement that ends its transaction may free its own parse tree. */
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
		/* In a subtransaction, the error may be caught and the transaction may go on without the statement. */
		barred = list_delete_oid(barred, database);
		(void) flex_registry_bar(database, false);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Install the hook. */
void
flex_database_commands_install(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
