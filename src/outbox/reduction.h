/*
 * reduction.h
 *		Reduces what is kept of a request that has ended to identifiers.
 */
#ifndef FLEX_REDUCTION_H
#define FLEX_REDUCTION_H

extern void flex_outbox_reduce(int64 id);

#endif /* FLEX_REDUCTION_H */
