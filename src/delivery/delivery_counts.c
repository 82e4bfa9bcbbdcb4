/*
 * delivery_counts.c
 *		Counts the results of a sender's requests, and shows them to other sessions.
 */
#include "postgres.h"

#include "delivery/delivery_counts.h"

/* Count a request that has been settled with a state. */
void
flex_delivery_counts_add(DeliveryCounts *counts, const char *state)
{
	if (strcmp(state, "succeeded") == 0)
		counts->succeeded++;
	else if (strcmp(state, "failed") == 0)
		counts->failed++;
	else if (strcmp(state, "uncertain") == 0)
		counts->uncertain++;
	else if (strcmp(state, "pending") == 0)
		counts->put_off++;
	else
		counts->other++;
}

/* Show other sessions the counts, as a sender's progress. */
void
flex_delivery_counts_show(DeliveryCounts counts, Progress *progress)
{
	int64 failed = counts.failed + counts.uncertain;

	flex_progress_show(progress, &(ProgressCounts){
									 .done = counts.succeeded + failed + counts.put_off + counts.other,
									 .total = PROGRESS_UNKNOWN,
									 .in_flight = counts.under_way,
									 .failed = failed,
								 });
}
