/*
 * clock.h
 *		A clock that nobody sets, and that all processes of the machine share.
 */
#ifndef FLEX_CLOCK_H
#define FLEX_CLOCK_H

#include <time.h>

/* Microseconds since some moment in the past: for differences only. */
static inline int64
flex_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Milliseconds since the same moment. */
static inline int64
flex_clock_ms(void)
{
	return flex_clock_us() / 1000;
}

#endif /* FLEX_CLOCK_H */
