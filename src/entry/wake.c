/*
 * wake.c
 *		Wakes the database's worker when a transaction commits that has something for it to do.
 *
 * Before the commit the worker would not see the rows.  A prepared transaction is committed
 * by a process that does not run this callback.  For COMMIT PREPARED, database_commands.c
 * wakes the worker.  The apply worker of a subscription commits prepared transactions
 * without a utility statement, so the outbox worker also polls while there are any.
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

/* Transaction callback. */
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

/* Wake the worker when the current transaction commits. */
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
 * flex_outbox_wake(), a trigger for rows that are inserted by other means than
 * flex_enqueue().  The declaration is not checked: no argument is read, and NULL is a valid
 * result of any type.
 */
PGDLLEXPORT Datum
flex_api_outbox_wake(PG_FUNCTION_ARGS)
{
	flex_wake_at_commit();
	PG_RETURN_NULL();
}
