/*
 * transaction.c
 *		A sender's transactions, in which the outbox is read and written.
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

/* What a sender needs for its transactions, one after the other; it lives in the current context. */
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
 * Check constraints at once, for the rest of the transaction: what fails at its commit
 * cannot be told from what else was done in it.
 */
void
flex_transaction_check_at_once(void)
{
	ConstraintsSetStmt *statement = makeNode(ConstraintsSetStmt);

	statement->constraints = NIL;
	statement->deferred = false;
	AfterTriggerSetState(statement);
}

/* Begin a transaction with the outbox's rights. */
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

/* Nothing of it is left, and another may begin. */
static void
forget_memory(Transaction *transaction)
{
	MemoryContextSwitchTo(transaction->outside);
	MemoryContextReset(transaction->inside);
}

/*
 * Its commit must not be asynchronous: it claims requests, and a claim that a crash or
 * a failover undoes would be sent twice.
 */
void
flex_transaction_make_durable(Transaction *transaction)
{
	transaction->must_be_durable = true;
}

/* Commit. */
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

/* How far a standby must be with a claim: an index of WalSndCtl->lsn. */
static int
standby_stage(void)
{
	switch (synchronous_commit)
	{
		case SYNCHRONOUS_COMMIT_REMOTE_WRITE:
			return SYNC_REP_WAIT_WRITE;
		case SYNCHRONOUS_COMMIT_REMOTE_APPLY:
			return SYNC_REP_WAIT_APPLY;
		default: /* claims have "on" at the least */
			return SYNC_REP_WAIT_FLUSH;
	}
}

/*
 * Raise unless the last commit, of a claim, has reached the synchronous standby,
 * where there is to be one.  The server gives up waiting when it is cancelled,
 * and only warns.
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

/* After an error: undo what was done, if a transaction has begun at all. */
void
flex_transaction_roll_back(Transaction *transaction)
{
	transaction->driver->roll_back();
	forget_memory(transaction);
}
