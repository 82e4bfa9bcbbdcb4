/*
 * callback_worker.c
 *		Main function of the background workers that run callbacks.
 *
 * Such a worker is a helper (shared/helper.c) of the process that sends.  It runs the
 * callbacks of one role, each in a transaction of its own.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/errors.h"
#include "delivery/callback_process.h"
#include "delivery/guarded_call.h"
#include "entry/worker_session.h"
#include "shared/helper.h"
#include "shared/shutdown.h"

extern PGDLLEXPORT void flex_api_callback_main(Datum argument);

/* Run callbacks.  An error is ignored if the extension has been dropped meanwhile, and raised again otherwise. */
static void
run_callbacks(CallbackShare *share)
{
	PG_TRY();
	{
		flex_callback_process_run(share, &flex_worker_driver);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(TopMemoryContext);
		error = flex_error_take();
		flex_worker_driver.roll_back();
		if (flex_worker_finds_outbox())
			flex_error_rethrow(error);
		share->has_left = true;
	}
	PG_END_TRY();
}

/*
 * SIGTERM: exit at once, as there is nothing to be settled, unless a callback is running,
 * which may finish within flex_api.shutdown_grace.
 */
static void
handle_sigterm(SIGNAL_ARGS)
{
	int save_errno = errno;

	flex_shutdown_note();
	if (!flex_guarded_call_is_running() || flex_shutdown_grace_ms(PG_INT32_MAX) == 0)
	{
		ProcDiePending = true;
		InterruptPending = true;
	}
	SetLatch(MyLatch);
	errno = save_errno;
}

/* Main function. */
void
flex_api_callback_main(Datum argument)
{
	CallbackShare *share;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, StatementCancelHandler);
	pqsignal(SIGTERM, handle_sigterm);
	BackgroundWorkerUnblockSignals();
	MemoryContextSwitchTo(TopMemoryContext);
	share = flex_helper_attach(argument);
	flex_worker_connect(share->database, "flex_api: running callbacks of the outbox");
	run_callbacks(share);
	proc_exit(0);
}
