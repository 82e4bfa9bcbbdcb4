/*
 * progress.h
 *		What long statements and senders have under way, for other sessions to see.
 */
#ifndef FLEX_PROGRESS_H
#define FLEX_PROGRESS_H

#include "datatype/timestamp.h"

#include "shared/segment.h"
#include "shared/way.h"

#define PROGRESS_UNKNOWN (-1)

/* How far it has come. */
typedef struct ProgressCounts
{
	int64 done;      /* requests, repeats not counted */
	int64 total;     /* or PROGRESS_UNKNOWN */
	int64 in_flight; /* requests */
	int64 failed;    /* of those that are done */
	int64 rows;      /* that have come */
} ProgressCounts;

/* What others see. */
typedef struct ProgressRow
{
	pid_t pid; /* 0: nothing is under way */
	Oid role;
	Oid database;
	Way way;
	char operation[NAMEDATALEN]; /* "": of several */
	TimestampTz started_at;
	ProgressCounts counts;
} ProgressRow;

/* Ends with the memory context that was current when it was begun, as an ERROR brings it. */
typedef struct Progress Progress;

extern Segment flex_progress_segment;

extern Progress *flex_progress_begin(Way way, const char *operation, int64 total);
extern void flex_progress_show(Progress *progress, const ProgressCounts *counts);
extern void flex_progress_end(Progress *progress);

extern int flex_progress_capacity(void);
extern bool flex_progress_read(int index, ProgressRow *row);

#endif /* FLEX_PROGRESS_H */
