/*
 * worker.c
 *		The background workers that send the requests of the outboxes, and their launcher.
 *
 * If flex_api is preloaded, the launcher runs from the end of recovery on.  It starts a
 * worker in each database that may have something to send (shared/registry.c).  A worker
 * runs a sender, and waits for its latch when there is nothing to send.  It exits when its
 * database has no outbox, and is started again when a request is committed there.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/errors.h"
#include "delivery/mending.h"
#include "delivery/sender.h"
#include "entry/worker.h"
#include "entry/worker_session.h"
#include "shared/helper.h"
#include "shared/registry.h"

#define LAUNCHER_RESTART_SECONDS 1
#define WAKE_AGAIN_MS 500           /* between two looks for a place in the registry */
#define DISK_FULL_MS 1000           /* before the next attempt when the disk is full */
#define WARNING_MS 60000            /* between two warnings about the same matter */
#define INVALID_DATABASE_LIMIT (-2) /* DATCONNLIMIT_INVALID_DB: datconnlimit after an interrupted DROP DATABASE */

extern PGDLLEXPORT void flex_api_launcher_main(Datum argument);
extern PGDLLEXPORT void flex_api_worker_main(Datum argument);

/* Register the launcher.  Called while the postmaster loads shared_preload_libraries. */
void
flex_workers_register(void)
{
	BackgroundWorker worker;

	flex_helper_describe(&worker, "flex_api launcher", "flex_api launcher", "flex_api_launcher_main");
	worker.bgw_restart_time = LAUNCHER_RESTART_SECONDS;
	RegisterBackgroundWorker(&worker);
}

static List *unwoken; /* OIDs of the databases that the launcher has still to wake, in TopMemoryContext */

/* Return true if a worker may connect to a database; not to one that an interrupted DROP DATABASE has left. */
static bool
allows_connections(Form_pg_database database)
{
	return database->datallowconn && database->datconnlimit != INVALID_DATABASE_LIMIT;
}

/* After a start of the server, any database may have waiting requests: note them all. */
static void
note_databases(void)
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
		MemoryContext transaction = MemoryContextSwitchTo(TopMemoryContext);

		if (allows_connections(database))
			unwoken = lappend_oid(unwoken, database->oid);
		MemoryContextSwitchTo(transaction);
	}
	table_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();
}

/*
 * Have a worker started in each of the databases that were noted.  If there are more of them than places in the
 * registry, some have to wait until the workers of others have found nothing to do.  Return false in that case.
 */
static bool
wake_databases(void)
{
	while (unwoken != NIL && flex_registry_wake(linitial_oid(unwoken)))
		unwoken = list_delete_first(unwoken);
	return unwoken == NIL;
}

/* Return true if a database allows connections now.  The registry forgets a database that does not exist any more. */
static bool
admits_worker(Oid database)
{
	HeapTuple tuple;
	bool admits = false;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (HeapTupleIsValid(tuple))
	{
		admits = allows_connections((Form_pg_database) GETSTRUCT(tuple));
		ReleaseSysCache(tuple);
	}
	else
		flex_registry_close(database);
	CommitTransactionCommand();
	return admits;
}

/* Return true, and remember the time in *warned_at, if no warning was given during the last minute. */
static bool
may_warn(int64 *warned_at)
{
	if (*warned_at != 0 && flex_clock_ms() - *warned_at < WARNING_MS)
		return false;
	*warned_at = flex_clock_ms();
	return true;
}

/* Warn, once per minute at most, that there are not enough background worker slots. */
static void
warn_of_places(void)
{
	static int64 warned_at = 0;

	if (!may_warn(&warned_at))
		return;
	ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					  errmsg("no background worker slot is free for the Flex API outbox"),
					  errdetail("Databases with requests to send take turns in the slots that the outbox has."),
					  errhint("Raise max_worker_processes.")));
}

/* Register a worker for a database, unless the database does not allow it.  Return false if no slot is free. */
static bool
start_worker(Oid database)
{
	BackgroundWorker worker;

	if (!admits_worker(database))
		return true;
	flex_helper_describe(&worker, "flex_api outbox worker", "flex_api outbox worker", "flex_api_worker_main");
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

/* Start the workers that are needed.  If there are not enough slots, ask other workers to leave. */
static void
start_workers(void)
{
	Oid database;
	int64 since;

	while (OidIsValid(database = flex_registry_next_to_start(&since)))
	{
		if (start_worker(database))
			continue;
		warn_of_places();
		flex_registry_note_crowded_out(database, since);
		flex_registry_make_place();
		return;
	}
}

/* Wait for the latch, for timeout_ms at most; -1: without limit.  Return false after a timeout. */
static bool
wait_for_latch(long timeout_ms, uint32 event)
{
	int wake = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout_ms >= 0 ? WL_TIMEOUT : 0);
	bool is_set = (WaitLatch(MyLatch, wake, timeout_ms, event) & WL_LATCH_SET) != 0;

	ResetLatch(MyLatch);
	/* DROP DATABASE waits until each process has absorbed this signal; an idle worker has no other place to do so. */
	if (ProcSignalBarrierPending)
		ProcessProcSignalBarrier();
	return is_set;
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
	note_databases();
	for (;;)
	{
		bool all_woken = wake_databases();
		long pause;

		start_workers();
		pause = flex_registry_pause_ms();
		if (!all_woken)
			pause = pause < 0 ? WAKE_AGAIN_MS : Min(pause, WAKE_AGAIN_MS);
		(void) wait_for_latch(pause, event);
		CHECK_FOR_INTERRUPTS();
		/* Not 0, which would tell the postmaster not to start the launcher again. */
		if (ShutdownRequestPending)
			proc_exit(1);
		flex_worker_follow_configuration();
	}
}

/* Exit if the worker has been told to, if workers are barred from the database, or if it has no outbox. */
static void
leave_if_done(void)
{
	if (ShutdownRequestPending || flex_registry_is_barred())
		proc_exit(0);
	if (!flex_worker_finds_outbox())
	{
		flex_registry_close(MyDatabaseId);
		proc_exit(0);
	}
}

/* The disk is full, so no request can be claimed and sent: warn, once per minute at most, and wait a moment. */
static void
wait_for_disk(const ErrorData *error, uint32 event)
{
	static int64 warned_at = 0;

	if (may_warn(&warned_at))
		ereport(WARNING, (errcode(error->sqlerrcode), errmsg("requests of the Flex API outbox wait for an operator"),
						  errdetail_internal("%s", error->message),
						  errhint("Free space on the disk: a request is sent only after its claim has been written.")));
	(void) wait_for_latch(DISK_FULL_MS, event);
	/* So that the main loop tries again at once. */
	SetLatch(MyLatch);
}

/*
 * Send what is due.  After an error, exit without reporting it if the worker has to leave or
 * the extension has been dropped, which may be its cause.  If the disk is full, wait for an
 * operator.  Raise any other error again.  flex_sender_run() has ended the transaction.
 */
static void
send_requests(Sender *sender, uint32 event)
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
		if (error->sqlerrcode != ERRCODE_DISK_FULL)
			flex_error_rethrow(error);
		wait_for_disk(error, event);
		FreeErrorData(error);
	}
	PG_END_TRY();
}

/*
 * Wait until there may be something to do.  In between, look whether the credentials have
 * changed, which needs no transaction.
 */
static void
wait_for_work(const Sender *sender, uint32 event)
{
	long idle;
	long look;

	flex_registry_set_idle(true);
	do
	{
		idle = flex_sender_idle_ms(sender);
		look = flex_mending_look_ms();
	} while (!wait_for_latch(Min(idle, look), event) && look < idle && !flex_mending_is_noticed());
	flex_registry_set_idle(false);
}

/* Main function of a database's worker. */
void
flex_api_worker_main(Datum argument)
{
	uint32 event = flex_wait_event("FlexApiWorkerMain");
	Sender *sender;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, StatementCancelHandler);
	pqsignal(SIGTERM, flex_worker_handle_sigterm);
	BackgroundWorkerUnblockSignals();
	flex_worker_connect(DatumGetObjectId(argument), "flex_api: sending the outbox's requests");
	if (!flex_registry_sign_on_worker())
		proc_exit(0);
	MemoryContextSwitchTo(TopMemoryContext);
	sender = flex_sender_create(&flex_worker_driver, PG_INT64_MAX, true);
	/* A SIGHUP that arrived before the handler was installed has been lost: read the files once more. */
	ConfigReloadPending = true;
	for (;;)
	{
		/* Reset the flag before looking for requests, so that later ones set it again. */
		(void) flex_registry_was_woken();
		/* During a shutdown the sender has to run once more, to settle requests that are on the wire. */
		if (!ShutdownRequestPending)
			leave_if_done();
		send_requests(sender, event);
		pgstat_report_activity(STATE_IDLE, NULL);
		if (!ShutdownRequestPending && flex_registry_must_leave())
		{
			flex_registry_leave(flex_sender_idle_ms(sender));
			proc_exit(0);
		}
		if (!ShutdownRequestPending && !flex_registry_was_woken())
			wait_for_work(sender, event);
		flex_worker_follow_configuration();
	}
}
