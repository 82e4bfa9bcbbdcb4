/*
 * progress.c
 *		What long statements and senders have under way, for other sessions to see.
 *
 * Each process has a few slots of its own, found by its number, in memory that all share
 * where that can be had (segment.c).  Only the process itself writes to them.  A reader
 * takes a slot for what it says only while a process with that number and pid is there:
 * one that has gone without a word leaves nothing to be seen.
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
	Slot *slot; /* NULL: all were taken, or it has ended */
	MemoryContextCallback at_end;
};

/* The processes that may run SQL come first. */
static Size
size_of(bool is_shared)
{
	return sizeof(Slot) * SLOTS_PER_PROCESS * (is_shared ? MaxBackends : 1);
}

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

/* The slots of all processes, or of this one alone. */
static Slot *
find_slots(bool *is_shared)
{
	return flex_segment_find(&flex_progress_segment, is_shared);
}

/* Of this process's slots one that is free; NULL: there is none. */
static Slot *
find_free_slot(void)
{
	bool is_shared;
	Slot *slots = find_slots(&is_shared);
	int first = is_shared ? flex_process_number() * SLOTS_PER_PROCESS : 0;

	Assert(!is_shared || (flex_process_number() >= 0 && flex_process_number() < MaxBackends));
	for (int i = first; i < first + SLOTS_PER_PROCESS; i++)
	{
		/* One of a process that had this number before is free, too. */
		if (slots[i].row.pid != MyProcPid)
			return &slots[i];
	}
	return NULL;
}

static void
end_progress(void *argument)
{
	flex_progress_end(argument);
}

/* Something has begun that takes a while: an operation's, or of several where that is NULL. */
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

/* Show how far it has come. */
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

/* It is over.  Nothing happens for one that has ended. */
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

/* Slots that can be read, used or not. */
int
flex_progress_capacity(void)
{
	bool is_shared;

	(void) find_slots(&is_shared);
	return SLOTS_PER_PROCESS * (is_shared ? MaxBackends : 1);
}

/* Copy what a slot says; false where nothing is under way. */
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
