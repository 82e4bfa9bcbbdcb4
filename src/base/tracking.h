/*
 * tracking.h
 *		Configuration parameters for monitoring.
 */
#ifndef FLEX_TRACKING_H
#define FLEX_TRACKING_H

extern void flex_tracking_define(void);

#endif /* FLEX_TRACKING_H */
