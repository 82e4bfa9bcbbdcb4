/*
 * segment.c
 *		Named memory that all processes of the server share, if possible.
 *
 * If the library is preloaded, a segment is in the server's main shared memory.  Otherwise
 * the first process that needs it creates it in dynamic shared memory, where it stays until
 * the server is shut down (GetNamedDSMSegment(), since PostgreSQL 17).  On older servers,
 * and in a single-user backend, it is memory of this process alone.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "shared/segment.h"

/* The segment that initialize_shared() is to initialize: before 19 the callback has no argument for it. */
static Segment *being_made;

/* Reserve main shared memory for a segment, in shmem_request_hook. */
void
flex_segment_request(const Segment *segment)
{
	RequestAddinShmemSpace(MAXALIGN(segment->size(true)));
}

/* Find or create a segment in main shared memory, in shmem_startup_hook.  The caller holds AddinShmemInitLock. */
void
flex_segment_set_up(Segment *segment)
{
	bool found;

	Assert(LWLockHeldByMeInMode(AddinShmemInitLock, LW_EXCLUSIVE));
	segment->memory = ShmemInitStruct(segment->name, segment->size(true), &found);
	segment->is_shared = true;
	if (!found)
		segment->initialize(segment->memory, true);
}

/* Callback of GetNamedDSMSegment(), by way of FLEX_NAMED_SEGMENT_CALLBACK. */
static void
initialize_shared(void *memory)
{
	being_made->initialize(memory, true);
}

FLEX_NAMED_SEGMENT_CALLBACK(initialize_named, initialize_shared)

/*
 * Return the memory of a segment, which is created if necessary.  *is_shared is set to
 * whether other processes share it.  Raises an error if there is not enough memory, but
 * not once it has returned in this process.
 */
void *
flex_segment_find(Segment *segment, bool *is_shared)
{
	if (segment->memory == NULL)
	{
		being_made = segment;
		/* A single-user backend has nobody to share it with. */
		if (IsUnderPostmaster)
			segment->memory = flex_named_segment(segment->name, segment->size(true), initialize_named);
		segment->is_shared = segment->memory != NULL;
	}
	if (segment->memory == NULL)
	{
		void *memory = MemoryContextAllocHuge(TopMemoryContext, segment->size(false));

		segment->initialize(memory, false);
		segment->memory = memory;
	}
	*is_shared = segment->is_shared;
	return segment->memory;
}
