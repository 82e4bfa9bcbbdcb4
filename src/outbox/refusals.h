/*
 * refusals.h
 *		Rate limit for warnings about writes to the outbox's tables that were refused.
 */
#ifndef FLEX_REFUSALS_H
#define FLEX_REFUSALS_H

extern bool flex_refusals_may_warn(int sqlerrcode, const char *table);

#endif /* FLEX_REFUSALS_H */
