/*
 * refusals.h
 *		What others hang on the outbox's tables may refuse what is written there.
 */
#ifndef FLEX_REFUSALS_H
#define FLEX_REFUSALS_H

extern bool flex_refusals_may_warn(int sqlerrcode, const char *table);

#endif /* FLEX_REFUSALS_H */
