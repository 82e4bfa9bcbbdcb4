/*
 * worker_session.c
 *		How our background workers connect, and their transactions.
 *
 * They connect as the bootstrap superuser, whatever role they work for: a role
 * need not have LOGIN, and its connection limit is not for them.
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
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "entry/worker_session.h"
#include "outbox/access.h"
#include "shared/helper.h"
#include "shared/registry.h"
#include "shared/shutdown.h"

static const char *said_activity; /* in pg_stat_activity */
static bool was_reloaded;         /* the settings of the database are to be looked up, too */

/* Reload the configuration, if it has changed. */
void
flex_worker_follow_configuration(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	was_reloaded = true;
}

/*
 * After a reload, take over what ALTER DATABASE has set since this process began.  What it has
 * reset cannot be told from what it has left: that counts for the next process.
 */
static void
follow_database(void)
{
	Relation settings;
	Snapshot snapshot;

	Assert(IsTransactionState());
	if (!was_reloaded)
		return;
	was_reloaded = false;
	settings = table_open(DbRoleSettingRelationId, AccessShareLock);
	snapshot = RegisterSnapshot(GetCatalogSnapshot(DbRoleSettingRelationId));
	ApplySetting(snapshot, MyDatabaseId, InvalidOid, settings, PGC_S_DATABASE);
	UnregisterSnapshot(snapshot);
	table_close(settings, AccessShareLock);
}

/* Begin a transaction of the worker's sender. */
static void
begin_transaction(void)
{
	flex_worker_follow_configuration();
	/* What a callback has locked for its session is not the next one's. */
	LockReleaseAll(USER_LOCKMETHOD, true);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	follow_database();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, said_activity);
}

/* A worker that has been told to stop does not wait for a standby, which may never come back. */
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

static void
roll_back_transaction(void)
{
	AbortOutOfAnyTransaction();
}

/* A callback may have caught the cancel that the signal is, at first. */
static void
check_shutdown(void)
{
	flex_helper_check_server();
	if (!ShutdownRequestPending && !flex_registry_is_barred())
		return;
	/* This is what it has asked for; left pending, it would break off what is settled now. */
	QueryCancelPending = false;
	ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("the Flex API outbox worker has to stop")));
}

/*
 * SIGTERM: stop, also in the middle of a callback.  What is under way may end within
 * flex_api.shutdown_grace, and is settled on the way out.
 */
void
flex_worker_handle_sigterm(SIGNAL_ARGS)
{
	int save_errno = errno;

	flex_shutdown_note();
	/* A second one, of a starter that has to end as well, does not shorten the time. */
	if (!ShutdownRequestPending || flex_helper_must_end())
		QueryCancelPending = true;
	ShutdownRequestPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

/* True when the extension is in this database. */
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

/* Nothing that a role or a database has been given must change how we work. */
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
	};

	for (size_t i = 0; i < lengthof(settings); i++)
	{
		/* Not every release has all of them. */
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}
}

/* Connect to a database, and say in pg_stat_activity what is done there. */
void
flex_worker_connect(Oid database, const char *activity)
{
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	override_settings();
	/* Messages to another process are not converted. */
	SetClientEncoding(GetDatabaseEncoding());
	said_activity = activity;
}

/* How a worker drives a sender. */
const Driver flex_worker_driver = {
	.begin = begin_transaction,
	.commit = commit_transaction,
	.roll_back = roll_back_transaction,
	.check = check_shutdown,
};
