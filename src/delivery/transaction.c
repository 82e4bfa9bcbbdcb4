/*
 * transaction.c
 *		A sender's transactions, in which the outbox is read and written.
 *
 * A worker and a drain begin and commit transactions in different ways (the Driver).  Common to
 * both is what happens around that: the outbox's rights, its lock, a memory context for the
 * transaction, and the durability of claims.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/trigger.h"
#include "nodes/parsenodes.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/lwlock.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "delivery/transaction.h"
#include "outbox/settling.h"

/* Create the state for a process's transactions, in the current memory context. */
Transaction *
flex_transaction_create(const Driver *driver)
{
	Transaction *transaction = palloc0(sizeof(Transaction));

	transaction->driver = driver;
	transaction->outside = CurrentMemoryContext;
	transaction->inside = AllocSetContextCreate(CurrentMemoryContext, "flex_api transaction", ALLOCSET_DEFAULT_SIZES);
	return transaction;
}

/*
 * Check all constraints immediately for the rest of the transaction, as SET CONSTRAINTS ALL
 * IMMEDIATE does: an error at the commit could not be attributed to one request.
 */
void
flex_transaction_check_at_once(void)
{
	ConstraintsSetStmt *statement = makeNode(ConstraintsSetStmt);

	statement->constraints = NIL;
	statement->deferred = false;
	AfterTriggerSetState(statement);
}

/* Begin a transaction, take the lock on the outbox's tables, and switch to its owner's rights. */
void
flex_transaction_begin(Transaction *transaction)
{
	transaction->must_be_durable = false;
	transaction->driver->begin();
	flex_outbox_lock_tables();
	flex_outbox_enter(&transaction->access);
	flex_outbox_discard();
	MemoryContextSwitchTo(transaction->inside);
	flex_transaction_check_at_once();
}

/* Leave and empty the memory context of a transaction that has ended. */
static void
forget_memory(Transaction *transaction)
{
	MemoryContextSwitchTo(transaction->outside);
	MemoryContextReset(transaction->inside);
}

/*
 * Make the commit of the present transaction synchronous.  It is called by one that claims
 * requests: if a crash or failover lost the claim, they would be sent twice.
 */
void
flex_transaction_make_durable(Transaction *transaction)
{
	transaction->must_be_durable = true;
}

/* Write what is pending for the outbox's tables, return to the caller's rights, and commit. */
void
flex_transaction_commit(Transaction *transaction)
{
	flex_outbox_flush();
	flex_outbox_leave(&transaction->access);
	if (transaction->must_be_durable && synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_WRITE)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
								 false);
	transaction->driver->commit();
	forget_memory(transaction);
}

/* Return what a synchronous standby must have done with a claim's WAL, as an index of WalSndCtl->lsn. */
static int
standby_stage(void)
{
	switch (synchronous_commit)
	{
		case SYNCHRONOUS_COMMIT_REMOTE_WRITE:
			return SYNC_REP_WAIT_WRITE;
		case SYNCHRONOUS_COMMIT_REMOTE_APPLY:
			return SYNC_REP_WAIT_APPLY;
		default: /* claims are committed with at least "on" */
			return SYNC_REP_WAIT_FLUSH;
	}
}

/*
 * Raise an error if there must be a synchronous standby and the last commit, which was that of
 * a claim, has not reached it.  The server itself only warns when its wait for the standby is
 * cancelled.
 */
void
flex_transaction_check_replicated(void)
{
	bool reached;

	if (max_wal_senders == 0 || SyncRepStandbyNames == NULL || SyncRepStandbyNames[0] == '\0')
		return;
	LWLockAcquire(SyncRepLock, LW_SHARED);
	reached = WalSndCtl->lsn[standby_stage()] >= XactLastCommitEnd;
	LWLockRelease(SyncRepLock);
	if (!reached)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
						errmsg("the claim on requests of the Flex API outbox has not reached the synchronous standby"),
						errdetail("None of these requests was sent.")));
}

/* After an error: abort the transaction, if there is one. */
void
flex_transaction_roll_back(Transaction *transaction)
{
	transaction->driver->roll_back();
	forget_memory(transaction);
}
