/*
 * histogram.c
 *		How often which durations have come, for quantiles.
 *
 * Eight buckets for each doubling, of growing width: the limits of one are 9.05 % apart.
 * What stands for all of it is the geometric mean of its limits, from which none is
 * farther than 4.5 %.
 */
#include "postgres.h"

#include <math.h>

#include "shared/histogram.h"

#define BUCKETS_PER_DOUBLING 8

/* The bucket of a duration in microseconds. */
int
flex_histogram_bucket(int64 us)
{
	int bucket;

	if (us <= 1)
		return 0;
	bucket = (int) (log2((double) us) * BUCKETS_PER_DOUBLING);
	return Min(bucket, HISTOGRAM_BUCKETS - 1);
}

/* The microseconds that such a share of the durations did not exceed; 0 where there are none. */
double
flex_histogram_quantile_us(const uint64 buckets[HISTOGRAM_BUCKETS], double quantile)
{
	uint64 count = 0;
	uint64 passed = 0;
	double rank;

	Assert(quantile > 0 && quantile <= 1);
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		count += buckets[i];
	rank = ceil(quantile * (double) count);
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
	{
		passed += buckets[i];
		if (passed > 0 && (double) passed >= rank)
			return exp2((i + 0.5) / BUCKETS_PER_DOUBLING);
	}
	return 0;
}
