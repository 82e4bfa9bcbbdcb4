/*
 * callback_process.c
 *		A background worker that runs the callbacks of one role.
 *
 * The process exits when it has been idle for some seconds, when other roles wait for its
 * place, and after a callback whose effects on the process cannot be undone: one that had to
 * be cancelled, or has loaded a library, which may keep connections (dblink) or variables
 * (PL/Perl).  Session state of the server itself (session-level advisory locks, sequence
 * caches) is removed after each callback.
 */
#include "postgres.h"

#include "commands/sequence.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/errors.h"
#include "delivery/callback_process.h"
#include "delivery/callbacks.h"
#include "delivery/guarded_call.h"
#include "shared/registry.h"
#include "shared/shutdown.h"

#define IDLE_MS 5000         /* the process exits after so long without a callback */
#define LOOK_AGAIN_MS 100    /* between two looks while all due callbacks are locked */
#define LEAST_SERVICE_MS 100 /* a dismissed process serves its role for at least so long */
#define TELL_MS 100          /* between two wakings of the sender while callbacks run */

/* In the sender: start a process for a role.  Return NULL if no worker slot is free. */
Helper *
flex_callback_process_start(Oid role)
{
	CallbackShare share = {.database = MyDatabaseId, .role = role};
	BackgroundWorker worker;
	char name[BGW_MAXLEN];

	pg_atomic_init_u32(&share.asked, 1);
	pg_atomic_init_u32(&share.answered, 0);
	pg_atomic_init_u32(&share.runs, 0);
	pg_atomic_init_u32(&share.leave, 0);
	snprintf(name, sizeof(name), "flex_api callbacks of role %u", role);
	flex_helper_describe(&worker, name, "flex_api callbacks", "flex_api_callback_main");
	return flex_helper_start(&worker, &share, sizeof(share));
}

/* In the sender: ask the process to look for due callbacks. */
void
flex_callback_process_ask(const Helper *process)
{
	CallbackShare *share = flex_helper_share(process);

	pg_atomic_fetch_add_u32(&share->asked, 1);
	flex_helper_wake(process);
}

/* In the sender: return true while the process has callbacks to run, or has not looked since it was asked. */
bool
flex_callback_process_is_busy(const Helper *process)
{
	CallbackShare *share = flex_helper_share(process);

	return pg_atomic_read_u32(&share->asked) != pg_atomic_read_u32(&share->answered);
}

/* In the sender: tell the process to end after its present callback. */
void
flex_callback_process_dismiss(const Helper *process)
{
	CallbackShare *share = flex_helper_share(process);

	pg_atomic_write_u32(&share->leave, 1);
	flex_helper_wake(process);
}

/* Raise the error that ended a process; a generic one if the process told none. */
static void
raise_end(ErrorData *error)
{
	if (error == NULL)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("a background worker for callbacks of the Flex API outbox ended unexpectedly"),
						errhint("The server's log may say why.")));
	flex_error_throw(error);
}

/*
 * In the sender: return the error that ended a process, allocated in the given context, or
 * NULL.  It is not an error of the process if a callback ended it, or if an administrator
 * terminated or cancelled it.
 */
ErrorData *
flex_callback_process_failure(const Helper *process, MemoryContext context)
{
	const CallbackShare *share = flex_helper_share(process);
	ErrorData *error = flex_helper_error(process);
	MemoryContext before = CurrentMemoryContext;
	ErrorData *volatile failure = NULL;

	if (share->ended_in_callback ||
		(error != NULL && (error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN || error->sqlerrcode == ERRCODE_QUERY_CANCELED)))
		return NULL;
	PG_TRY();
	{
		raise_end(error);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		failure = flex_error_take();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	return failure;
}

/*
 * Return true if the process has loaded a library since the previous call; false at the first
 * call.  PL/pgSQL does not count: it keeps no state that a later callback could see.
 */
static bool
has_loaded_library(void)
{
	static Size known = 0; /* size of the list of names at the previous call */
	Size size = EstimateLibraryStateSpace();
	bool found = false;
	char *names;

	if (size == known)
		return false;
	names = palloc(size);
	SerializeLibraryState(size, names);
	/* The list is append-only and ends with an empty string, so the new names begin where that was. */
	for (const char *name = names + Max(known, 1) - 1; *name != '\0'; name += strlen(name) + 1)
	{
		const char *slash = last_dir_separator(name);

		found |= strncmp(slash != NULL ? slash + 1 : name, "plpgsql.", strlen("plpgsql.")) != 0;
	}
	pfree(names);
	found &= known != 0;
	known = size;
	return found;
}

/* Remove the session state that a callback can leave behind, so that the next one does not find it. */
static void
remove_traces(void)
{
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetSequenceCaches();
}

/* Claim and run the role's next callback.  Return false if none is due or could be claimed. */
static bool
run_next(CallbackShare *share, Transaction *transaction)
{
	Callback callback;

	if (!flex_callbacks_claim(transaction, share->role, &callback))
		return false;
	share->running = callback;
	flex_callbacks_run(transaction, &callback, false);
	remove_traces();
	pg_atomic_fetch_add_u32(&share->runs, 1);
	return true;
}

/* Return true if the process must exit after the present callback even if others are due. */
static bool
must_leave(CallbackShare *share, int64 since)
{
	if (flex_guarded_call_timed_out() || has_loaded_library() || flex_registry_is_barred() || flex_shutdown_is_asked())
		return true;
	return pg_atomic_read_u32(&share->leave) != 0 && flex_clock_ms() - since >= LEAST_SERVICE_MS;
}

/* Run all due callbacks.  Return false if the process must exit before it has run all of them. */
static bool
run_due(CallbackShare *share, Transaction *transaction, int64 since)
{
	int64 told_at = 0;

	while (run_next(share, transaction))
	{
		if (must_leave(share, since))
			return false;
		/* Callbacks may have enqueued requests, for which the sender should look. */
		if (flex_clock_ms() - told_at >= TELL_MS)
		{
			flex_helper_wake_starter();
			told_at = flex_clock_ms();
		}
		CHECK_FOR_INTERRUPTS();
		flex_helper_check_server();
	}
	return true;
}

/*
 * Wait until the sender asks for something or the next callback is due.  Return false if
 * idle_until (flex_clock_ms()) has been reached.
 */
static bool
wait_for_callback(CallbackShare *share, Transaction *transaction, int64 idle_until)
{
	TimestampTz next_at = flex_callbacks_next_at(transaction, share->role);
	long timeout_ms = (long) Max(idle_until - flex_clock_ms(), 0);

	if (timeout_ms == 0)
		return false;
	if (next_at != 0)
		timeout_ms =
			Min(timeout_ms, Max(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next_at), LOOK_AGAIN_MS));
	pgstat_report_activity(STATE_IDLE, NULL);
	/* A wait for a lock may have reset the latch, so do not rely on it alone. */
	if (pg_atomic_read_u32(&share->asked) != pg_atomic_read_u32(&share->answered) ||
		pg_atomic_read_u32(&share->leave) != 0)
		return true;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout_ms,
					 flex_wait_event("FlexApiCallbackMain"));
	CHECK_FOR_INTERRUPTS();
	return true;
}

static CallbackShare *own; /* what this process shares with its sender */

/* before_shmem_exit callback: tell the sender whether the process exits in the middle of a callback. */
static void
note_end(int code, Datum argument)
{
	own->ended_in_callback = flex_guarded_call_is_running();
	own->was_stubborn = own->ended_in_callback && flex_guarded_call_was_stubborn();
}

/* Main loop of the process: run the role's callbacks until it is time to exit. */
void
flex_callback_process_run(CallbackShare *share, const Driver *driver)
{
	Transaction *transaction = flex_transaction_create(driver);
	int64 since = flex_clock_ms();
	int64 idle_until = since + IDLE_MS;
	bool stays = true;

	own = share;
	before_shmem_exit(note_end, (Datum) 0);
	(void) has_loaded_library();
	while (stays)
	{
		uint32 runs = pg_atomic_read_u32(&share->runs);
		uint32 asked;

		/* Read asked before looking for callbacks: a request that comes during the look is answered by the next. */
		ResetLatch(MyLatch);
		asked = pg_atomic_read_u32(&share->asked);
		pg_read_barrier();
		if (!run_due(share, transaction, since))
			break;
		if (pg_atomic_read_u32(&share->answered) != asked)
		{
			pg_write_barrier();
			pg_atomic_write_u32(&share->answered, asked);
			flex_helper_wake_starter();
		}
		if (pg_atomic_read_u32(&share->runs) != runs)
			idle_until = flex_clock_ms() + IDLE_MS;
		stays = pg_atomic_read_u32(&share->leave) == 0 && !flex_registry_is_barred() &&
				wait_for_callback(share, transaction, idle_until);
	}
	share->has_left = true;
}
