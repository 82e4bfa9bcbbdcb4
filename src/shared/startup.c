/*
 * startup.c
 *		Requests shared memory while the postmaster starts.
 *
 * This is done only if flex_api is in shared_preload_libraries.  Otherwise there is no
 * registry, hence no workers, and the segments are found on first use (segment.c).
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "shared/pending_counts.h"
#include "shared/progress.h"
#include "shared/rates.h"
#include "shared/registry.h"
#include "shared/startup.h"
#include "shared/statistics.h"
#include "shared/statistics_file.h"

static shmem_request_hook_type previous_request_hook;
static shmem_startup_hook_type previous_startup_hook;

/* shmem_request_hook */
static void
request_memory(void)
{
	if (previous_request_hook != NULL)
		previous_request_hook();
	RequestAddinShmemSpace(flex_registry_size());
	flex_segment_request(&flex_rates_segment);
	flex_segment_request(&flex_statistics_segment);
	flex_segment_request(&flex_progress_segment);
	flex_segment_request(&flex_pending_counts_segment);
	RequestNamedLWLockTranche("flex_api", 1);
}

/* on_shmem_exit callback of the postmaster, which exits after all other processes. */
static void
save_statistics(int code, Datum argument)
{
	/* After a crash the shared memory may be corrupted. */
	if (code == 0)
		flex_statistics_file_save();
}

/* shmem_startup_hook */
static void
set_up_memory(void)
{
	void *registry;
	bool found;

	if (previous_startup_hook != NULL)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	registry = ShmemInitStruct("flex_api", flex_registry_size(), &found);
	flex_registry_set_up(registry, &GetNamedLWLockTranche("flex_api")->lock, !found);
	flex_segment_set_up(&flex_rates_segment);
	flex_segment_set_up(&flex_statistics_segment);
	flex_segment_set_up(&flex_progress_segment);
	flex_segment_set_up(&flex_pending_counts_segment);
	LWLockRelease(AddinShmemInitLock);
	if (!IsUnderPostmaster)
	{
		on_shmem_exit(save_statistics, (Datum) 0);
		flex_statistics_file_load();
	}
}

/* Install the hooks.  Called while the postmaster loads shared_preload_libraries. */
void
flex_startup_request(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = set_up_memory;
}
