/*
 * delivery_counts.h
 *		What a sender's requests came to.
 */
#ifndef FLEX_DELIVERY_COUNTS_H
#define FLEX_DELIVERY_COUNTS_H

#include "shared/progress.h"

/* What became of requests. */
typedef struct DeliveryCounts
{
	int64 succeeded;
	int64 failed;
	int64 uncertain;
	int64 put_off; /* they will be tried again */
	int64 other;   /* cancelled, for the database is a copy */
	int64 under_way;
} DeliveryCounts;

extern void flex_delivery_counts_add(DeliveryCounts *counts, const char *state);
extern void flex_delivery_counts_show(DeliveryCounts counts, Progress *progress);

#endif /* FLEX_DELIVERY_COUNTS_H */
