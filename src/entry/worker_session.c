/*
 * worker_session.c
 *		The database sessions of our background workers: connection, settings, transactions.
 *
 * A worker connects as the bootstrap superuser, whatever role it works for: that role need
 * not have LOGIN, and its connection limit should not count workers.  What ALTER ROLE has set
 * for the bootstrap superuser is undone: a worker has the settings of the server and the database.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_db_role_setting.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/guc_tables.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/server_values.h"
#include "entry/worker_session.h"
#include "outbox/access.h"
#include "shared/helper.h"
#include "shared/registry.h"
#include "shared/shutdown.h"

static const char *activity_text; /* shown in pg_stat_activity */
static bool was_reloaded;         /* the settings of ALTER DATABASE have to be read again, too */

/* Reload the configuration files after SIGHUP. */
void
flex_worker_follow_configuration(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	was_reloaded = true;
}

/* Apply the settings of ALTER DATABASE ... SET and of ALTER ROLE ALL SET as they are now. */
static void
apply_database_settings(void)
{
	Relation settings = table_open(DbRoleSettingRelationId, AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetCatalogSnapshot(DbRoleSettingRelationId));

	ApplySetting(snapshot, MyDatabaseId, InvalidOid, settings, PGC_S_DATABASE);
	ApplySetting(snapshot, InvalidOid, InvalidOid, settings, PGC_S_GLOBAL);
	UnregisterSnapshot(snapshot);
	table_close(settings, AccessShareLock);
}

/*
 * After a reload, apply the settings of the database.  A setting that was RESET since this process
 * began keeps its value here until the next process: there is no record of what it was before.
 */
static void
follow_database(void)
{
	Assert(IsTransactionState());
	if (!was_reloaded)
		return;
	was_reloaded = false;
	apply_database_settings();
}

/* Driver.begin */
static void
begin_transaction(void)
{
	flex_worker_follow_configuration();
	/* A callback may have left session-level advisory locks behind. */
	LockReleaseAll(USER_LOCKMETHOD, true);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	follow_database();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity_text);
}

/* Driver.commit.  During a shutdown, do not wait for a synchronous standby, which may never answer. */
static void
commit_transaction(void)
{
	if (flex_shutdown_is_asked())
		(void) set_config_option("synchronous_commit", "local", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
								 false);
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
}

/* Driver.roll_back */
static void
roll_back_transaction(void)
{
	AbortOutOfAnyTransaction();
}

/*
 * Driver.check: raise an error if the worker has to stop.  SIGTERM has cancelled the current
 * statement already, but a callback may have caught that error.
 */
static void
check_shutdown(void)
{
	flex_helper_check_server();
	if (!ShutdownRequestPending && !flex_registry_is_barred())
		return;
	/* The error below replaces the cancel, which would otherwise interrupt the settling that follows. */
	QueryCancelPending = false;
	ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("the Flex API outbox worker has to stop")));
}

/*
 * SIGTERM handler: cancel the current statement, even in a callback.  Requests on the wire may
 * be answered within flex_api.shutdown_grace, and are settled before the process exits.
 */
void
flex_worker_handle_sigterm(SIGNAL_ARGS)
{
	int save_errno = errno;

	flex_shutdown_note();
	/* A second SIGTERM, such as one from a starter that is shut down too, does not cut the settling short. */
	if (!ShutdownRequestPending || flex_helper_must_end())
		QueryCancelPending = true;
	ShutdownRequestPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

/* Return true if this database has the extension.  Runs a transaction. */
bool
flex_worker_finds_outbox(void)
{
	bool exists;

	StartTransactionCommand();
	follow_database();
	exists = OidIsValid(flex_outbox_schema(true));
	CommitTransactionCommand();
	return exists;
}

/* Override settings of the server or the database that would change what the worker does. */
static void
override_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"transaction_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"session_replication_role", "origin"},
		{"client_min_messages", "warning"},
		/* Errors of callbacks and of users' triggers are caught, and must not end the process. */
		{"exit_on_error", "off"},
	};

	for (size_t i = 0; i < lengthof(settings); i++)
	{
		/* Not every PostgreSQL release has all of them. */
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}
}

/*
 * Let nobody SET a parameter in this process: exit_on_error, by which the error of a callback that runs
 * in the sender would end it while other roles' requests are in flight.
 */
static void
forbid_setting(const char *name)
{
	int count;
	struct config_generic **all = flex_guc_variables(&count);

	for (int i = 0; i < count; i++)
	{
		if (strcmp(all[i]->name, name) == 0)
			all[i]->context = PGC_SIGHUP;
	}
}

/* Undo what ALTER ROLE has set for the role as which the worker is connected. */
static void
undo_role_settings(ServerValues *former)
{
	if (flex_server_values_are_replaced())
	{
		StartTransactionCommand();
		flex_server_values_restore(former);
		apply_database_settings();
		CommitTransactionCommand();
	}
	flex_server_values_free(former);
}

/* Connect to a database.  activity is shown in pg_stat_activity, and must live as long as the process. */
void
flex_worker_connect(Oid database, const char *activity)
{
	ServerValues *former = flex_server_values_note();

	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	undo_role_settings(former);
	override_settings();
	forbid_setting("exit_on_error");
	/* Messages in the queue to the starter, which has the same encoding, must not be converted. */
	SetClientEncoding(GetDatabaseEncoding());
	activity_text = activity;
}

/* How a worker drives a sender. */
const Driver flex_worker_driver = {
	.begin = begin_transaction,
	.commit = commit_transaction,
	.roll_back = roll_back_transaction,
	.check = check_shutdown,
};
