/*
 * counts.h
 *		Counts of finished requests.
 */
#ifndef FLEX_COUNTS_H
#define FLEX_COUNTS_H

extern void flex_counts_take(int64 id);
extern void flex_counts_fold(void);

#endif /* FLEX_COUNTS_H */
