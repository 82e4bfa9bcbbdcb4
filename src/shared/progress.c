/*
 * progress.c
 *		Progress of long statements and senders, for other sessions to see.
 *
 * Each process has a few slots of its own, indexed by its process number, in shared memory
 * if there is any (segment.c).  Only the process itself writes to them.  A reader ignores a
 * slot unless the process with that number has the pid that the slot names, so that slots
 * of processes that died without cleaning up are not shown.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "shared/progress.h"

#define SLOTS_PER_PROCESS 4 /* a statement may read several lists at once */

typedef struct Slot
{
	slock_t lock;
	ProgressRow row;
} Slot;

struct Progress
{
	Slot *slot; /* NULL: no slot was free, or the progress has ended */
	MemoryContextCallback at_end;
};

/* Segment.size.  Processes that may run SQL have numbers below MaxBackends; auxiliary processes come after them. */
static Size
size_of(bool is_shared)
{
	return sizeof(Slot) * SLOTS_PER_PROCESS * (is_shared ? MaxBackends : 1);
}

/* Segment.initialize */
static void
initialize(void *memory, bool is_shared)
{
	Slot *slots = memory;

	memset(memory, 0, size_of(is_shared));
	for (Size i = 0; i < size_of(is_shared) / sizeof(Slot); i++)
		SpinLockInit(&slots[i].lock);
}

Segment flex_progress_segment = {
	.name = "flex_api " FLEX_API_VERSION " progress",
	.size = size_of,
	.initialize = initialize,
};

/* Return the slots of all processes, or those of this one alone. */
static Slot *
find_slots(bool *is_shared)
{
	return flex_segment_find(&flex_progress_segment, is_shared);
}

/* Return a free slot of this process, or NULL. */
static Slot *
find_free_slot(void)
{
	bool is_shared;
	Slot *slots = find_slots(&is_shared);
	int first = is_shared ? flex_process_number() * SLOTS_PER_PROCESS : 0;

	Assert(!is_shared || (flex_process_number() >= 0 && flex_process_number() < MaxBackends));
	for (int i = first; i < first + SLOTS_PER_PROCESS; i++)
	{
		/* A slot left behind by a former process of this number is free, too. */
		if (slots[i].row.pid != MyProcPid)
			return &slots[i];
	}
	return NULL;
}

/* Memory context callback */
static void
end_progress(void *argument)
{
	flex_progress_end(argument);
}

/*
 * Begin to show the progress of an operation, or of several if operation is NULL.  total is
 * the number of requests, or PROGRESS_UNKNOWN.  If this process has no free slot, nothing
 * is shown.
 */
Progress *
flex_progress_begin(Way way, const char *operation, int64 total)
{
	Progress *progress = palloc0(sizeof(Progress));
	ProgressRow row = {
		.pid = MyProcPid,
		.role = GetUserId(),
		.database = MyDatabaseId,
		.way = way,
		.started_at = GetCurrentTimestamp(),
		.counts.total = total,
	};

	if (operation != NULL)
		strlcpy(row.operation, operation, sizeof(row.operation));
	progress->slot = find_free_slot();
	progress->at_end = (MemoryContextCallback){.func = end_progress, .arg = progress};
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &progress->at_end);
	if (progress->slot == NULL)
		return progress;
	SpinLockAcquire(&progress->slot->lock);
	progress->slot->row = row;
	SpinLockRelease(&progress->slot->lock);
	return progress;
}

/* Publish new counts. */
void
flex_progress_show(Progress *progress, const ProgressCounts *counts)
{
	Slot *slot = progress->slot;

	if (slot == NULL)
		return;
	Assert(slot->row.pid == MyProcPid);
	SpinLockAcquire(&slot->lock);
	slot->row.counts = *counts;
	SpinLockRelease(&slot->lock);
}

/* Free the slot.  Does nothing if that has been done. */
void
flex_progress_end(Progress *progress)
{
	Slot *slot = progress->slot;

	if (slot == NULL)
		return;
	progress->slot = NULL;
	SpinLockAcquire(&slot->lock);
	slot->row.pid = 0;
	SpinLockRelease(&slot->lock);
}

/* Return the number of slots that flex_progress_read() can be asked for. */
int
flex_progress_capacity(void)
{
	bool is_shared;

	(void) find_slots(&is_shared);
	return SLOTS_PER_PROCESS * (is_shared ? MaxBackends : 1);
}

/* Copy a slot; return false if it is free, or its process is gone. */
bool
flex_progress_read(int index, ProgressRow *row)
{
	bool is_shared;
	Slot *slot = &find_slots(&is_shared)[index];

	Assert(index >= 0 && index < flex_progress_capacity());
	SpinLockAcquire(&slot->lock);
	*row = slot->row;
	SpinLockRelease(&slot->lock);
	if (row->pid == 0)
		return false;
	return row->pid == (is_shared ? GetPGProcByNumber(index / SLOTS_PER_PROCESS)->pid : MyProcPid);
}
