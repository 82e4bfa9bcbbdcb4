/*
 * drain.c
 *		SQL entry point of flex_outbox_drain(): a sender in any session.
 *
 * A superuser's drain sends from its session, with that session's settings.  What
 * another role has set must not change how others' requests are sent: its drain runs
 * in a background worker (drain_worker.c), for which the session waits.  Decided
 * against: sending from the session with the values that RESET gives, for connection
 * options and ALTER ROLE replace those; and a worker for superusers too, who may set
 * everything for everybody anyway, and need no free slot.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/effective.h"
#include "base/errors.h"
#include "delivery/sender.h"
#include "entry/declaration.h"
#include "entry/drain_worker.h"
#include "request/arguments.h"
#include "shared/helper.h"

#define REPORT_MS 5000
#define WORKER_EXIT_MS 60000 /* for a drain that was cancelled to settle what was under way */

PG_FUNCTION_INFO_V1(flex_api_drain);

/*
 * A procedure's transactions are SPI's.  The work of each is done in a
 * subtransaction, for only the end of that takes back, after an error, whatever
 * the statement that failed has left on the stacks of SPI and of snapshots.
 *
 * Each transaction has the characteristics of the first one, which check_transaction() has
 * checked.  Those of the session may be others: with default_transaction_isolation as repeatable
 * read, we would not see what another sender has claimed since our transaction began, and would send it, too.
 */
static bool connected;
static int level; /* of nesting, outside the subtransaction */
static ResourceOwner owner;

static Sender *own_sender; /* of this session, while it drains by itself */
static int64 reports_at;   /* flex_clock_ms() of the next report */

static void
begin_transaction(void)
{
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	connected = true;
	level = GetCurrentTransactionNestLevel();
	owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
}

static void
commit_transaction(void)
{
	MemoryContext context = CurrentMemoryContext;

	ReleaseCurrentSubTransaction();
	/* SPI keeps the error of a commit that is refused in the current context, which must outlast the transaction. */
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	SPI_commit_and_chain();
	connected = false;
	SPI_finish();
}

/* An error may have come between two transactions, too: then there is nothing to do. */
static void
roll_back_transaction(void)
{
	if (!connected)
		return;
	if (GetCurrentTransactionNestLevel() > level)
	{
		RollbackAndReleaseCurrentSubTransaction();
		CurrentResourceOwner = owner;
	}
	connected = false;
	SPI_rollback_and_chain();
	SPI_finish();
}

/* The procedure's argument: how many requests to claim at most. */
static int64
max_requests_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		return PG_INT64_MAX;
	if (PG_GETARG_INT64(0) < 0)
		flex_argument_refuse("flex_outbox_drain", "max_requests", psprintf(INT64_FORMAT, PG_GETARG_INT64(0)), false,
							 "a number from 0 on, or NULL for all that is due");
	return PG_GETARG_INT64(0);
}

/* Raise unless the procedure may commit, and sees what others have committed. */
static void
check_transaction(FunctionCallInfo fcinfo)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) || castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("flex_outbox_drain cannot run inside a transaction block"),
						errhint("CALL it as a statement of its own.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("flex_outbox_drain needs transactions of isolation level read committed"),
						errhint("Set default_transaction_isolation to read committed.")));
}

/* Tell the client how far the drain is. */
static void
report_progress(const DeliveryCounts *counts)
{
	if (flex_clock_ms() < reports_at)
		return;
	reports_at = flex_clock_ms() + REPORT_MS;
	ereport(NOTICE, (errmsg("draining the Flex API outbox: %lld succeeded, %lld failed, %lld uncertain, %lld put off, "
							"%lld under way",
							(long long) counts->succeeded, (long long) counts->failed, (long long) counts->uncertain,
							(long long) counts->put_off, (long long) counts->under_way)));
}

/* Tell the client what the drain has done, if it has done anything. */
static void
report_end(const DeliveryCounts *counts)
{
	if (counts->succeeded + counts->failed + counts->uncertain + counts->put_off + counts->other > 0)
		ereport(NOTICE,
				(errmsg("drained the Flex API outbox: %lld succeeded, %lld failed, %lld uncertain, %lld put off, "
						"%lld cancelled",
						(long long) counts->succeeded, (long long) counts->failed, (long long) counts->uncertain,
						(long long) counts->put_off, (long long) counts->other)));
}

/* For the sender in this session. */
static void
report_own_progress(void)
{
	DeliveryCounts counts = flex_sender_counts(own_sender);

	report_progress(&counts);
}

/* Send from this session. */
static void
drain_here(int64 max_requests)
{
	static const Driver driver = {
		.begin = begin_transaction,
		.commit = commit_transaction,
		.roll_back = roll_back_transaction,
		.check = report_own_progress,
		.check_ms = REPORT_MS,
	};
	DeliveryCounts counts;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "flex_api drain", ALLOCSET_DEFAULT_SIZES);

	PreventCommandIfReadOnly("flex_outbox_drain()");
	connected = false;
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		own_sender = flex_sender_create(&driver, max_requests, false);
		flex_sender_run(own_sender);
		counts = flex_sender_counts(own_sender);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(context);
	}
	PG_END_TRY();
	report_end(&counts);
}

/* Start a worker that drains; raises 53400 when no slot is free. */
static Helper *
start_worker(int64 max_requests)
{
	DrainShare share = {.database = MyDatabaseId, .max_requests = max_requests};
	BackgroundWorker worker;
	Helper *helper;

	/* It would start after the recovery only. */
	PreventCommandDuringRecovery("flex_outbox_drain()");
	flex_helper_describe(&worker, "flex_api drain", "flex_api drain", "flex_api_drain_main");
	helper = flex_helper_start(&worker, &share, sizeof(share));
	if (helper == NULL)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						errmsg("no background worker slot is free to drain the Flex API outbox"),
						errdetail("The drain of a role that is no superuser runs in a background worker."),
						errhint("Raise max_worker_processes, or try again later.")));
	return helper;
}

/* Wait until a worker has drained, tell what it has done, and raise its error if it has not. */
static void
wait_for_worker(Helper *worker)
{
	const DrainShare *share = flex_helper_share(worker);

	while (!flex_helper_has_ended(worker))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 (long) Max(reports_at - flex_clock_ms(), 0), flex_wait_event("FlexApiDrain"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		report_progress(&share->counts);
	}
	if (flex_helper_error(worker) != NULL)
		flex_error_throw(flex_helper_error(worker));
	if (!share->is_done)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("the background worker that drains the Flex API outbox ended unexpectedly"),
						errhint("The server's log may say why.")));
	report_end(&share->counts);
}

/*
 * Have a worker send.  When this session is cancelled, so is the worker, and it is
 * waited for until it has settled what it had under way.
 */
static void
drain_in_worker(int64 max_requests)
{
	Helper *worker = start_worker(max_requests);

	PG_TRY();
	{
		/* Whoever waits keeps no snapshot. */
		SPI_connect_ext(SPI_OPT_NONATOMIC);
		SPI_commit();
		SPI_finish();
		wait_for_worker(worker);
	}
	PG_FINALLY();
	{
		flex_helper_end(worker, WORKER_EXIT_MS);
	}
	PG_END_TRY();
}

/* CALL flex_outbox_drain(max_requests); see sender.c. */
PGDLLEXPORT Datum
flex_api_drain(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.result = VOIDOID, .count = 1, .types = {INT8OID}};
	int64 max_requests;

	flex_declaration_check(fcinfo, &entry);
	max_requests = max_requests_argument(fcinfo);
	check_transaction(fcinfo);
	flex_effective_check_displaced();
	reports_at = flex_clock_ms() + REPORT_MS;
	if (!flex_settings.delivery)
		ereport(NOTICE, (errmsg("nothing is sent: flex_api.delivery is off"),
						 errhint("Set it to on for the server or the database.")));
	else if (superuser())
		drain_here(max_requests);
	else
		drain_in_worker(max_requests);
	PG_RETURN_VOID();
}
