/*
 * delivery_counts.h
 *		Counts the results of a sender's requests, and shows them to other sessions.
 */
#ifndef FLEX_DELIVERY_COUNTS_H
#define FLEX_DELIVERY_COUNTS_H

#include "shared/progress.h"

/* The results of requests. */
typedef struct DeliveryCounts
{
	int64 succeeded;
	int64 failed;
	int64 uncertain;
	int64 put_off; /* settled as pending: they will be tried again */
	int64 other;   /* cancelled, because the database is a copy of the one where they were enqueued */
	int64 under_way;
} DeliveryCounts;

extern void flex_delivery_counts_add(DeliveryCounts *counts, const char *state);
extern void flex_delivery_counts_show(DeliveryCounts counts, Progress *progress);

#endif /* FLEX_DELIVERY_COUNTS_H */
