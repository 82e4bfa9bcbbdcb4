/*
 * startup.c
 *		The shared memory that is asked for while the postmaster starts.
 *
 * Only where flex_api is in shared_preload_libraries.
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

static void
request_memory(void)
{
	if (previous_request_hook != NULL)
		previous_request_hook();
	RequestAddinShmemSpace(flex_registry_size());
	RequestAddinShmemSpace(flex_rates_size());
	flex_segment_request(&flex_statistics_segment);
	flex_segment_request(&flex_progress_segment);
	flex_segment_request(&flex_pending_counts_segment);
	RequestNamedLWLockTranche("flex_api", 1);
}

/* The postmaster ends, after all other processes. */
static void
save_statistics(int code, Datum argument)
{
	/* After a crash they are not to be trusted. */
	if (code == 0)
		flex_statistics_file_save();
}

static void
set_up_memory(void)
{
	void *registry;
	Rates *rates;
	bool found;

	if (previous_startup_hook != NULL)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	registry = ShmemInitStruct("flex_api", flex_registry_size(), &found);
	flex_registry_set_up(registry, &GetNamedLWLockTranche("flex_api")->lock, !found);
	rates = ShmemInitStruct("flex_api rates", flex_rates_size(), &found);
	flex_rates_set_up(rates, !found);
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

/* Ask for the memory, while the postmaster starts. */
void
flex_startup_request(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = set_up_memory;
}
