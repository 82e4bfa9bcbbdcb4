/*
 * histogram.h
 *		A histogram of durations, from which quantiles are estimated.
 */
#ifndef FLEX_HISTOGRAM_H
#define FLEX_HISTOGRAM_H

#define HISTOGRAM_BUCKETS 296 /* from a microsecond to 38 hours */

extern int flex_histogram_bucket(int64 us);
extern double flex_histogram_quantile_us(const uint64 buckets[HISTOGRAM_BUCKETS], double quantile);

#endif /* FLEX_HISTOGRAM_H */
