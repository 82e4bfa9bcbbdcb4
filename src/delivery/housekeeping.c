/*
 * housekeeping.c
 *		Periodic work on the outbox's tables, apart from sending.
 *
 * Claims of senders that have died are taken over.  The names of roles are brought up to date,
 * void rows of flex_outbox_later are deleted, rows of flex_outbox_counts are added up, and the triggers
 * for logical replication are checked.
 *
 * The caller must be in a transaction with the outbox's rights.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"

#include "base/attempt.h"
#include "base/compat.h"
#include "delivery/housekeeping.h"
#include "delivery/settlement.h"
#include "outbox/counts.h"
#include "outbox/refusals.h"
#include "outbox/replica_triggers.h"
#include "outbox/roles.h"
#include "outbox/settling.h"
#include "outbox/waiting_rows.h"

#define ORPHANS_AT_ONCE 1000 /* after so many requests, leave further claims to the next run */

/*
 * Return true if nobody will settle what a process has claimed: it has exited, or it is this
 * one and with_own is true.  Read the backend status array itself, because pg_stat_activity
 * hides other roles' processes from a role without the right to see them.
 */
static bool
is_gone(const SenderProcess *process, bool with_own)
{
	int count = pgstat_fetch_stat_numbackends();

	if (process->pid == MyProcPid && process->start == MyStartTimestamp)
		return with_own;
	for (int i = 1; i <= count; i++)
	{
		const LocalPgBackendStatus *entry = flex_local_backend_entry(i);

		if (entry != NULL && entry->backendStatus.st_procpid == process->pid &&
			entry->backendStatus.st_proc_start_timestamp == process->start &&
			entry->backendStatus.st_databaseid == MyDatabaseId)
			return false;
	}
	return true;
}

/*
 * Take over the claims of senders that have exited, and settle their requests.  Return the
 * number of requests, without those that could not be settled.
 */
static int
take_over(bool with_own, const Mark *claims_from)
{
	int rows_count;
	ClaimRow *rows = flex_claim_rows(claims_from, &rows_count);
	int taken = 0;

	/* Read the array anew: a process that has started since it was last read must not be taken for dead. */
	pgstat_clear_backend_activity_snapshot();

	for (int i = 0; i < rows_count && taken < ORPHANS_AT_ONCE; i++)
	{
		int count;
		Claim *orphans;

		if (!is_gone(&rows[i].sender, with_own))
			continue;
		orphans = flex_claims_take_over(&rows[i], &count);
		for (int j = 0; j < count; j++)
			flex_settle_orphan(&orphans[j]);
		flex_outbox_flush();
		taken += count - flex_claims_end(&rows[i].id, 1, false);
	}
	return taken;
}

/* Work that is not urgent.  Errors must not end the sender, which may have requests in flight. */
static void (*const chores[])(void) = {flex_outbox_refresh_roles, flex_later_sweep, flex_counts_fold,
									   flex_replica_triggers_check};

static void
do_chore(void *argument)
{
	void (*const *chore)(void) = argument;

	(*chore)();
}

/* Do the chores, each in a subtransaction; errors are reported as warnings. */
static void
do_chores(void)
{
	for (size_t i = 0; i < lengthof(chores); i++)
	{
		const ErrorData *error = flex_attempt(do_chore, (void *) &chores[i]);

		if (error != NULL && flex_refusals_may_warn(error->sqlerrcode, "housekeeping"))
			ereport(WARNING,
					(errcode(error->sqlerrcode), errmsg("the tables of the Flex API outbox could not be tidied up"),
					 errdetail_internal("%s", error->message),
					 errhint("Sending goes on. It is tried again in half a minute.")));
	}
}

/*
 * Do the periodic work.  with_own tells that this process has no request in flight, so that
 * claims in its own name are abandoned, too.  claims_from is the mark of the claims: none of an
 * earlier transaction is live, except in its holes.  Return false if more claims may have to be
 * taken over.
 */
bool
flex_housekeeping_run(bool with_own, const Mark *claims_from)
{
	int taken = take_over(with_own, claims_from);

	do_chores();
	return taken < ORPHANS_AT_ONCE;
}
