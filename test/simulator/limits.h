/*
 * limits.h
 *	  Limits that a test sets, and how much came through them each second.
 */
#ifndef SIMULATOR_LIMITS_H
#define SIMULATOR_LIMITS_H

#include "request.h"

extern bool limits_change(json_object *wish, Problem *problem);
extern void limits_clear(void);
extern void limits_forget_seconds(void);
extern void limits_write(Text *text);
extern void limits_write_seconds(Text *text);
extern bool check_limit(Request *request);

#endif
