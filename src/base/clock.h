/*
 * clock.h
 *		The monotonic clock, which is the same in all processes of the machine.
 */
#ifndef FLEX_CLOCK_H
#define FLEX_CLOCK_H

#include <time.h>

/* Return the microseconds since an arbitrary point in the past. */
static inline int64
flex_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Return the milliseconds since the same point. */
static inline int64
flex_clock_ms(void)
{
	return flex_clock_us() / 1000;
}

#endif /* FLEX_CLOCK_H */
