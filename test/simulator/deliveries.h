/*
 * deliveries.h
 *	  What became of the last messages to webhooks.
 */
#ifndef SIMULATOR_DELIVERIES_H
#define SIMULATOR_DELIVERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

extern int64_t deliveries_begin(const char *ttid, const char *event);
extern void deliveries_note(int64_t number, int status, const char *error, bool over);
extern void deliveries_write(Text *text);
extern void deliveries_clear(void);

#endif
