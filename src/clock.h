/*
 * clock.h
 *		Milliseconds on a clock that nobody sets.
 */
#ifndef FLEX_CLOCK_H
#define FLEX_CLOCK_H

#include <time.h>

/* Milliseconds since some moment in the past: for differences only. */
static inline int64
flex_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif /* FLEX_CLOCK_H */
