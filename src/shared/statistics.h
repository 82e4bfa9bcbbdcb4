/*
 * statistics.h
 *		What requests came to, by role, database, operation and way.
 */
#ifndef FLEX_STATISTICS_H
#define FLEX_STATISTICS_H

#include "datatype/timestamp.h"

#include "shared/histogram.h"
#include "shared/segment.h"
#include "shared/way.h"

/* How a request ended that was tried. */
typedef enum Ending
{
	ENDING_SUCCEEDED,
	ENDING_REFUSED,   /* status 4xx, but 429 */
	ENDING_THROTTLED, /* status 429 */
	ENDING_FAILED,    /* any other answer */
	ENDING_LOST,      /* it was sent, and no answer was had */
	ENDING_UNSENT,    /* nothing of it could be sent */
	ENDINGS
} Ending;

typedef struct RequestEnd
{
	Ending ending;
	bool is_repeat;   /* of one that did not succeed */
	int64 bytes_sent; /* of bodies */
	int64 bytes_received;
	int64 elapsed_us;
} RequestEnd;

typedef struct StatisticsKey
{
	Oid role;
	Oid database;
	Way way;
	char operation[NAMEDATALEN]; /* zeroes behind its end */
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
	double sum_of_squares; /* of the differences from the mean */
	TimestampTz since;
} StatisticsCounts;

/* All that is known of a key. */
typedef struct StatisticsRow
{
	StatisticsKey key;
	StatisticsCounts counts;
	uint64 histogram[HISTOGRAM_BUCKETS]; /* of the durations */
} StatisticsRow;

/* Where a request will be counted, found before it is sent: counting then raises no error. */
typedef struct StatisticsPlace
{
	Oid role;
	Way way;
	const char *operation; /* lasts as long as the process; NULL: it is not counted */
	int entry;
	uint64 id; /* of what was counted there then */
} StatisticsPlace;

extern Segment flex_statistics_segment;

extern StatisticsPlace flex_statistics_find(Oid role, Way way, const char *operation);
extern void flex_statistics_count(StatisticsPlace *place, const RequestEnd *end);
extern void flex_statistics_count_rows(StatisticsPlace *place, int64 rows);
extern int64 flex_statistics_requests(const StatisticsCounts *counts);

extern int flex_statistics_capacity(void);
extern bool flex_statistics_read(int index, StatisticsRow *row);
extern bool flex_statistics_read_alone(int index, StatisticsRow *row);
extern bool flex_statistics_restore(const StatisticsRow *row);
extern void flex_statistics_reset(void);

#endif /* FLEX_STATISTICS_H */
