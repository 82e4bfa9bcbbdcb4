/*
 * wake.c
 *		Wakes the database's worker when a transaction has left it something to do.
 *
 * At the commit, for before it the worker sees nothing.  What was prepared for a
 * two-phase commit is committed by some other process, which knows nothing of us:
 * database_commands.c sees COMMIT PREPARED, but not what a subscription applies, for
 * which the worker looks again and again.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "base/compat.h"
#include "entry/wake.h"
#include "shared/registry.h"

PG_FUNCTION_INFO_V1(flex_api_outbox_wake);

static bool wake_at_commit;

/* The transaction ends: the callback of that. */
static void
wake_or_forget(XactEvent event, void *argument)
{
	if (wake_at_commit && event == XACT_EVENT_COMMIT)
		flex_registry_wake(MyDatabaseId);
	if (wake_at_commit && event == XACT_EVENT_PREPARE)
		flex_registry_note_prepared(MyDatabaseId);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		wake_at_commit = false;
}

/* Have the worker woken when this transaction commits. */
void
flex_wake_at_commit(void)
{
	static bool is_registered = false;

	Assert(IsTransactionState());
	if (!is_registered)
		RegisterXactCallback(wake_or_forget, NULL);
	is_registered = true;
	wake_at_commit = true;
}

/*
 * flex_outbox_wake(), the trigger of a row that was put in by other means.  It takes
 * no argument, and NULL is a result of whatever type.
 */
PGDLLEXPORT Datum
flex_api_outbox_wake(PG_FUNCTION_ARGS)
{
	flex_wake_at_commit();
	PG_RETURN_NULL();
}
