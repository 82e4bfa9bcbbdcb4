/*
 * drain_worker.c
 *		A background worker that drains the outbox for a session.
 *
 * It has the settings of the server and the database, and sends its error to the
 * session, which waits.  When that ends, or is cancelled, the worker is terminated,
 * and settles what it has under way, as a drain that is cancelled.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "delivery/sender.h"
#include "entry/drain_worker.h"
#include "entry/worker_session.h"
#include "shared/helper.h"

extern PGDLLEXPORT void flex_api_drain_main(Datum argument);

static DrainShare *share;
static Sender *sender;

/* Show the session how far the drain has come, and raise when it has to stop. */
static void
show_and_check(void)
{
	share->counts = flex_sender_counts(sender);
	flex_worker_driver.check();
}

/* Main function. */
void
flex_api_drain_main(Datum argument)
{
	Driver driver = flex_worker_driver;

	driver.check = show_and_check;
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, StatementCancelHandler);
	pqsignal(SIGTERM, flex_worker_handle_sigterm);
	BackgroundWorkerUnblockSignals();
	MemoryContextSwitchTo(TopMemoryContext);
	share = flex_helper_attach(argument);
	flex_worker_connect(share->database, "flex_api: draining the outbox");
	sender = flex_sender_create(&driver, share->max_requests, false);
	flex_sender_run(sender);
	share->counts = flex_sender_counts(sender);
	share->is_done = true;
	proc_exit(0);
}
