/*
 * histogram.c
 *		A histogram of durations, from which quantiles are estimated.
 *
 * Buckets grow exponentially, eight for each doubling of the duration, so the upper bound
 * of a bucket is 9.05 % above its lower bound.  A bucket is represented by the geometric
 * mean of its bounds, from which no duration in it differs by more than 4.5 %.
 */
#include "postgres.h"

#include <math.h>

#include "shared/histogram.h"

#define BUCKETS_PER_DOUBLING 8

/* Return the index of the bucket for a duration in microseconds. */
int
flex_histogram_bucket(int64 us)
{
	int bucket;

	/* The logarithm is not defined for 0. */
	if (us <= 1)
		return 0;
	bucket = (int) (log2((double) us) * BUCKETS_PER_DOUBLING);
	return Min(bucket, HISTOGRAM_BUCKETS - 1);
}

/*
 * Return the given quantile (0.5 is the median) of the durations, in microseconds; 0 if
 * there are none.
 */
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
