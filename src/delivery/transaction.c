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
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/compat.h"
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

/*
 * Return true if commits wait for a synchronous standby.  This is what the checkpointer has told all processes,
 * which may have read the configuration before it, or after it.  Until it has told anything, the configuration counts.
 */
static bool
commits_need_standby(void)
{
	static int server_version;
	uint8 told;

	if (max_wal_senders == 0)
		return false;
	told = flex_standby_byte();
	if (server_version == 0)
		server_version = pg_strtoint32(GetConfigOption("server_version_num", false, false));
	if (!flex_has_standby_bits(server_version))
		return told != 0;
	if ((told & SYNC_STANDBY_INIT) == 0)
		return SyncRepStandbyNames != NULL && SyncRepStandbyNames[0] != '\0';
	return (told & SYNC_STANDBY_DEFINED) != 0;
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
	transaction->needs_standby = commits_need_standby();
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

/* Return true if the last commit has reached the synchronous standby, if there must be one. */
static bool
is_replicated(void)
{
	bool result;

	LWLockAcquire(SyncRepLock, LW_SHARED);
	result = !commits_need_standby() || WalSndCtl->lsn[standby_stage()] >= XactLastCommitEnd;
	LWLockRelease(SyncRepLock);
	return result;
}

/* Wait for the synchronous standby as the last commit would have done if it had needed one. */
static void
await_standby(void)
{
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(XactLastCommitEnd, true);
	RESUME_INTERRUPTS();
}

/*
 * Raise an error if there must be a synchronous standby and the last commit, which was that of
 * a claim, has not reached it.  The server itself only warns when its wait for the standby is
 * cancelled.
 */
void
flex_transaction_check_replicated(const Transaction *transaction)
{
	/* Commits may have begun to need the standby just after this one, which then has not waited. */
	if (!transaction->needs_standby && !is_replicated())
		await_standby();
	if (!is_replicated())
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
