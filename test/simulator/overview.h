/*
 * overview.h
 *	  All that the page shows, in one answer.
 */
#ifndef SIMULATOR_OVERVIEW_H
#define SIMULATOR_OVERVIEW_H

#include "text.h"

extern void overview_write(Text *text);

#endif
