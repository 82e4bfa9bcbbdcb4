/*
 * slow_commit.c
 *		A commit that takes its time, for a session that LOADs this.
 *
 * With slow_commit.ms set, the session waits so long in its next commit: others
 * see what it has done, but it still has its locks, and their caches are not yet
 * told.  Without it that moment is too short to be met on purpose.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

static int milliseconds;

static void
wait_in_commit(XactEvent event, void *unused)
{
	if (event == XACT_EVENT_COMMIT && milliseconds > 0)
		pg_usleep(milliseconds * 1000L);
}

void
_PG_init(void)
{
	DefineCustomIntVariable("slow_commit.ms", "How long a commit waits.", NULL, &milliseconds, 0, 0, 60000, PGC_USERSET,
							GUC_UNIT_MS, NULL, NULL, NULL);
	RegisterXactCallback(wait_in_commit, NULL);
}
