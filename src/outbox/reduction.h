/*
 * reduction.h
 *		Reduction of ended requests to identifiers.
 */
#ifndef FLEX_REDUCTION_H
#define FLEX_REDUCTION_H

extern void flex_outbox_reduce(int64 id);

#endif /* FLEX_REDUCTION_H */
