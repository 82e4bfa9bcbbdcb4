/*
 * traffic.h
 *	  How many answers of which kind each of the last seconds had.
 */
#ifndef SIMULATOR_TRAFFIC_H
#define SIMULATOR_TRAFFIC_H

#include "text.h"

extern void traffic_count(int status);
extern void traffic_clear(void);
extern void traffic_write(Text *text);

#endif
