/*
 * segment.c
 *		A piece of memory that all processes of the server have in common, where it can be had.
 *
 * Where we are preloaded it is in the server's own shared memory.  Else the first
 * process that wants it has one made that lasts as long as the server, from 17 on;
 * before, each session has its own.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "shared/segment.h"

static Segment *being_made; /* whose function initialize_shared() calls */

/* Ask for the memory, in the hook for that. */
void
flex_segment_request(const Segment *segment)
{
	RequestAddinShmemSpace(MAXALIGN(segment->size(true)));
}

/* Find or make it in the server's memory, in the hook for that; AddinShmemInitLock is held. */
void
flex_segment_set_up(Segment *segment)
{
	bool found;

	segment->memory = ShmemInitStruct(segment->name, segment->size(true), &found);
	segment->is_shared = true;
	if (!found)
		segment->initialize(segment->memory, true);
}

static void
initialize_shared(void *memory)
{
	being_made->initialize(memory, true);
}

FLEX_NAMED_SEGMENT_CALLBACK(initialize_named, initialize_shared)

/* The memory, made if need be, and whether other processes have it, too.  Raises an error when there is none left. */
void *
flex_segment_find(Segment *segment, bool *is_shared)
{
	if (segment->memory == NULL)
	{
		being_made = segment;
		/* A process without a postmaster has nobody to share it with. */
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
