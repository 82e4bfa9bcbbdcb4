/*
 * clock.h
 *	  The simulated time: the machine's, moved or stopped by a control request.
 */
#ifndef SIMULATOR_CLOCK_H
#define SIMULATOR_CLOCK_H

#include <json-c/json.h>
#include <stdint.h>
#include <time.h>

#include "problem.h"
#include "text.h"

extern int64_t clock_us(void);
extern time_t clock_seconds(void);
extern const char *date_now(void);
extern bool clock_change(json_object *wish, Problem *problem);
extern void clock_reset(void);
extern void clock_write(Text *text);

#endif
