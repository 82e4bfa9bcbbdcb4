/*
 * progress.h
 *		Progress of long statements and senders, for other sessions to see.
 */
#ifndef FLEX_PROGRESS_H
#define FLEX_PROGRESS_H

#include "datatype/timestamp.h"

#include "shared/segment.h"
#include "shared/way.h"

#define PROGRESS_UNKNOWN (-1)

typedef struct ProgressCounts
{
	int64 done;      /* requests that are done, repeats not counted */
	int64 total;     /* requests there will be, or PROGRESS_UNKNOWN */
	int64 in_flight; /* requests on the wire */
	int64 failed;    /* requests among "done" that failed */
	int64 rows;      /* rows received */
} ProgressCounts;

/* What other sessions see of a statement or a sender. */
typedef struct ProgressRow
{
	pid_t pid; /* 0: the slot is free */
	Oid role;
	Oid database;
	Way way;
	char operation[NAMEDATALEN]; /* "": several operations */
	TimestampTz started_at;
	ProgressCounts counts;
} ProgressRow;

/* Allocated in the current memory context.  Its slot is freed at the latest when that is reset, as after an ERROR. */
typedef struct Progress Progress;

extern Segment flex_progress_segment;

extern Progress *flex_progress_begin(Way way, const char *operation, int64 total);
extern void flex_progress_show(Progress *progress, const ProgressCounts *counts);
extern void flex_progress_end(Progress *progress);

extern int flex_progress_capacity(void);
extern bool flex_progress_read(int index, ProgressRow *row);

#endif /* FLEX_PROGRESS_H */
