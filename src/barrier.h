/*
 * barrier.h
 *		Keeps workers out of databases that must be empty.
 */
#ifndef FLEX_BARRIER_H
#define FLEX_BARRIER_H

extern void flex_barrier_install(void);

#endif /* FLEX_BARRIER_H */
