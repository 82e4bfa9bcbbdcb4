/*
 * wakeups.h
 *	  Lets a suspended connection go on at a given time.
 */
#ifndef SIMULATOR_WAKEUPS_H
#define SIMULATOR_WAKEUPS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

extern void wakeups_start(void);
extern void wakeups_stop(void);
extern bool suspend_until(struct MHD_Connection *connection, int64_t time_us);

#endif
