/*
 * counts.h
 *		Counts of finished requests.
 */
#ifndef FLEX_COUNTS_H
#define FLEX_COUNTS_H

/* A request that has finished. */
typedef struct FinishedRequest
{
	int role_id;
	const char *operation;
	const char *state;
	int64 error_id; /* its id if it has an error, else 0 */
} FinishedRequest;

extern void flex_counts_add(const FinishedRequest *requests, int count);
extern void flex_counts_take(int64 id);
extern void flex_counts_fold(void);

#endif /* FLEX_COUNTS_H */
