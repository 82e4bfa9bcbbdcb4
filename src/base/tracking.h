/*
 * tracking.h
 *		The configuration parameters of what operators see of requests.
 */
#ifndef FLEX_TRACKING_H
#define FLEX_TRACKING_H

extern void flex_tracking_define(void);

#endif /* FLEX_TRACKING_H */
