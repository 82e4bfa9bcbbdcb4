/*
 * worker.c
 *		The background workers that send the outboxes' requests.
 *
 * The launcher runs where flex_api is preloaded, from the end of recovery on,
 * and starts a worker in each database that may have something to send.  A
 * worker is a sender that waits for its latch; it ends by itself when its
 * database has no outbox any more, and is started again when a request is
 * committed there.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "base/errors.h"
#include "outbox/access.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "delivery/sender.h"
#include "shared/registry.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"
#include "base/compat.h"
#include "entry/worker.h"

#define LAUNCHER_RESTART_SECONDS 1
#define INVALID_DATABASE_LIMIT (-2) /* datconnlimit after a DROP DATABASE that was cut short */

extern PGDLLEXPORT void flex_api_launcher_main(Datum argument);
extern PGDLLEXPORT void flex_api_worker_main(Datum argument);

/* Fill in what all our workers have in common. */
static void
describe_worker(BackgroundWorker *worker, const char *name, const char *function)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	strlcpy(worker->bgw_name, name, sizeof(worker->bgw_name));
	strlcpy(worker->bgw_type, name, sizeof(worker->bgw_type));
	strlcpy(worker->bgw_library_name, "flex_api", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function, sizeof(worker->bgw_function_name));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
}

/* Register the launcher, while the postmaster starts. */
void
flex_workers_register(void)
{
	BackgroundWorker worker;

	describe_worker(&worker, "flex_api launcher", "flex_api_launcher_main");
	worker.bgw_restart_time = LAUNCHER_RESTART_SECONDS;
	RegisterBackgroundWorker(&worker);
}

/* At the start, every database may have requests that wait. */
static void
wake_all_databases(void)
{
	Relation catalog;
	TableScanDesc scan;
	HeapTuple tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(catalog, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (database->datallowconn)
			flex_registry_wake(database->oid);
	}
	table_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();
}

/* True when a database can be connected to now; one that is gone needs no worker any more. */
static bool
admits_worker(Oid database)
{
	HeapTuple tuple;
	bool admits = false;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		admits = form->datallowconn && form->datconnlimit != INVALID_DATABASE_LIMIT;
		ReleaseSysCache(tuple);
	}
	else
		flex_registry_close(database);
	CommitTransactionCommand();
	return admits;
}

/* Have the postmaster start a database's worker. */
static void
start_worker(Oid database)
{
	BackgroundWorker worker;

	if (!admits_worker(database))
		return;
	describe_worker(&worker, "flex_api outbox worker", "flex_api_worker_main");
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	worker.bgw_notify_pid = MyProcPid;
	if (!RegisterDynamicBackgroundWorker(&worker, NULL))
		ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("no background worker slot is free for the Flex API outbox"),
						  errhint("Raise max_worker_processes.")));
}

/* Wait for the latch, or for so many milliseconds; -1 for ever. */
static void
wait_for_latch(long timeout_ms, uint32 event)
{
	int wake = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout_ms >= 0 ? WL_TIMEOUT : 0);

	(void) WaitLatch(MyLatch, wake, timeout_ms, event);
	ResetLatch(MyLatch);
}

/* Reload the configuration, if it has changed. */
static void
follow_configuration(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
}

/* Main function of the launcher. */
void
flex_api_launcher_main(Datum argument)
{
	uint32 event = flex_wait_event("FlexApiLauncherMain");

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	flex_registry_sign_on_launcher();
	wake_all_databases();
	for (;;)
	{
		Oid database;

		while (OidIsValid(database = flex_registry_next_to_start()))
			start_worker(database);
		wait_for_latch(flex_registry_pause_ms(), event);
		CHECK_FOR_INTERRUPTS();
		/* Not 0, which would mean that it need not be started again. */
		if (ShutdownRequestPending)
			proc_exit(1);
		follow_configuration();
	}
}

/* Begin a transaction of the worker's sender. */
static void
begin_transaction(void)
{
	follow_configuration();
	/* What a callback has locked for its session is not the next one's. */
	LockReleaseAll(USER_LOCKMETHOD, true);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "flex_api: sending the outbox's requests");
}

/* A worker that has been told to stop does not wait for a standby, which may never come back. */
static void
commit_transaction(void)
{
	if (ShutdownRequestPending)
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
	if (ShutdownRequestPending || flex_registry_is_barred())
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("the Flex API outbox worker has to stop")));
}

/*
 * SIGTERM: stop, also in the middle of a callback.  What is under way is settled
 * on the way out, as after a cancel.
 */
static void
handle_sigterm(SIGNAL_ARGS)
{
	int save_errno = errno;

	ShutdownRequestPending = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

/* True when the extension is in this database. */
static bool
outbox_exists(void)
{
	bool exists;

	StartTransactionCommand();
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
	};

	for (size_t i = 0; i < lengthof(settings); i++)
	{
		/* Not every release has all of them. */
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}
}

/* End, quietly, when there is no reason to be here any more. */
static void
leave_if_done(void)
{
	if (ShutdownRequestPending || flex_registry_is_barred())
		proc_exit(0);
	if (!outbox_exists())
	{
		flex_registry_close(MyDatabaseId);
		proc_exit(0);
	}
}

/*
 * Send what is due.  An error that comes of our having to leave, or of the
 * extension's being dropped, is none.
 */
static void
send_requests(Sender *sender)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		flex_sender_run(sender);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = flex_error_take();
		QueryCancelPending = false;
		leave_if_done();
		flex_error_rethrow(error);
	}
	PG_END_TRY();
}

/* Main function of a database's worker. */
void
flex_api_worker_main(Datum argument)
{
	static const Driver driver = {
		.begin = begin_transaction,
		.commit = commit_transaction,
		.roll_back = roll_back_transaction,
		.check = check_shutdown,
	};
	uint32 event = flex_wait_event("FlexApiWorkerMain");
	Sender *sender;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, StatementCancelHandler);
	pqsignal(SIGTERM, handle_sigterm);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(argument), InvalidOid, 0);
	if (!flex_registry_sign_on_worker())
		proc_exit(0);
	override_settings();
	MemoryContextSwitchTo(TopMemoryContext);
	sender = flex_sender_create(&driver, PG_INT64_MAX, true);
	for (;;)
	{
		(void) flex_registry_was_woken(); /* we look now */
		leave_if_done();
		send_requests(sender);
		pgstat_report_activity(STATE_IDLE, NULL);
		if (!ShutdownRequestPending && !flex_registry_was_woken())
			wait_for_latch(flex_sender_idle_ms(sender), event);
		follow_configuration();
	}
}
