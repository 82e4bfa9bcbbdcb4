/*
 * callback_worker.c
 *		Main function of the background workers that run callbacks.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/errors.h"
#include "delivery/callback_process.h"
#include "entry/worker_session.h"
#include "shared/helper.h"

extern PGDLLEXPORT void flex_api_callback_main(Datum argument);

/* Run callbacks.  That the extension has been dropped is no error. */
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

/* Main function; nothing is to be settled when the process is told to end, so that it does at once. */
void
flex_api_callback_main(Datum argument)
{
	CallbackShare *share;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, StatementCancelHandler);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	MemoryContextSwitchTo(TopMemoryContext);
	share = flex_helper_attach(argument);
	flex_worker_connect(share->database, "flex_api: running callbacks of the outbox");
	run_callbacks(share);
	proc_exit(0);
}
