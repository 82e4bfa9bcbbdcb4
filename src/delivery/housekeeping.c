/*
 * housekeeping.c
 *		What senders that are gone have left, the roles' names, what waits in vain, and what was counted.
 *
 * The caller stands in a transaction with the outbox's rights.
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
#include "outbox/roles.h"
#include "outbox/settling.h"
#include "outbox/waiting_rows.h"

#define ORPHANS_AT_ONCE 1000

/*
 * True when nobody will settle what a process has claimed: it is gone, or it is this
 * one and with_own.  We ask the server's own table of processes: its view hides from
 * roles what they must not know.
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

/* Take over what senders that are gone have left; returns how many requests, without those that could not be settled. */
static int
take_over(bool with_own, const Mark *claims_from)
{
	int rows_count;
	ClaimRow *rows = flex_claim_rows(claims_from, &rows_count);
	int taken = 0;

	/* A process that began after an earlier look must not be taken for dead. */
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

/* What can wait: where it fails, that must not end the sender, which may have requests under way. */
static void (*const chores[])(void) = {flex_outbox_refresh_roles, flex_later_sweep, flex_counts_fold};

static void
do_chore(void *argument)
{
	void (*const *chore)(void) = argument;

	(*chore)();
}

/* Do what can wait, each in a subtransaction. */
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
 * Take over what is left behind, keep the roles' names, look for rows that wait for nothing any
 * more, and add up what was counted.  with_own: this process has nothing under way, so what is claimed in its name is left behind,
 * too.  No claim of a transaction before claims_from is live, but for its holes.  False when there is more
 * to do.
 */
bool
flex_housekeeping_run(bool with_own, const Mark *claims_from)
{
	int taken = take_over(with_own, claims_from);

	do_chores();
	return taken < ORPHANS_AT_ONCE;
}
