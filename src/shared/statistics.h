/*
 * statistics.h
 *		Cumulative statistics of requests, by role, database, operation and way.
 */
#ifndef FLEX_STATISTICS_H
#define FLEX_STATISTICS_H

#include "datatype/timestamp.h"

#include "shared/histogram.h"
#include "shared/segment.h"
#include "shared/way.h"

/* How an attempt to send a request ended. */
typedef enum Ending
{
	ENDING_SUCCEEDED,
	ENDING_REFUSED,   /* status 4xx, except 429 */
	ENDING_THROTTLED, /* status 429 */
	ENDING_FAILED,    /* any other answer */
	ENDING_LOST,      /* it was sent, but no answer came */
	ENDING_UNSENT,    /* nothing of it could be sent */
	ENDINGS           /* number of the above */
} Ending;

typedef struct RequestEnd
{
	Ending ending;
	bool is_repeat;       /* a former attempt at the same request failed */
	int64 bytes_sent;     /* of the request's body */
	int64 bytes_received; /* of the answer's body */
	int64 elapsed_us;
} RequestEnd;

/* Hashed and compared as bytes, so padding must be zero, too. */
typedef struct StatisticsKey
{
	Oid role;
	Oid database;
	Way way;
	char operation[NAMEDATALEN]; /* padded with zeroes */
} StatisticsKey;

typedef struct StatisticsCounts
{
	int64 endings[ENDINGS];
	int64 repeats;
	int64 rows;
	int64 bytes_sent;
	int64 bytes_received;
	double total_ms;
	double min_ms;
	double max_ms;
	double mean_ms;
	double sum_of_squares; /* of the durations' differences from the mean */
	TimestampTz since;     /* when counting began */
} StatisticsCounts;

/* A copy of an entry, for a view or the file. */
typedef struct StatisticsRow
{
	StatisticsKey key;
	StatisticsCounts counts;
	uint64 histogram[HISTOGRAM_BUCKETS]; /* of the durations */
} StatisticsRow;

/* Where a request will be counted.  It is looked up before the request is sent, so that counting raises no error. */
typedef struct StatisticsPlace
{
	Oid role;
	Way way;
	const char *operation; /* must live as long as the process; NULL: the request is not counted */
	int entry;             /* index of the key's entry */
	uint64 id;             /* the entry's id at that time: it has another one if another key has it now */
} StatisticsPlace;

extern Segment flex_statistics_segment;

extern StatisticsPlace flex_statistics_find(Oid role, Way way, const char *operation);
extern void flex_statistics_count(StatisticsPlace *place, const RequestEnd *end);
extern void flex_statistics_count_rows(StatisticsPlace *place, int64 rows);
extern int64 flex_statistics_requests(const StatisticsCounts *counts);

extern int flex_statistics_entries(void);
extern bool flex_statistics_read(int index, StatisticsRow *row);
extern bool flex_statistics_read_alone(int index, StatisticsRow *row);
extern bool flex_statistics_restore(const StatisticsRow *row);
extern void flex_statistics_reset(void);

#endif /* FLEX_STATISTICS_H */
