/*
 * wake.h
 *		Wakes the database's worker when a transaction commits that has something for it to do.
 */
#ifndef FLEX_WAKE_H
#define FLEX_WAKE_H

extern void flex_wake_at_commit(void);

#endif /* FLEX_WAKE_H */
