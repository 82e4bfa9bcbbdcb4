/*
 * rates.h
 *	  The published rates, enforced when the settings say so.
 */
#ifndef SIMULATOR_RATES_H
#define SIMULATOR_RATES_H

#include "request.h"

extern bool check_rate(Request *request);
extern void rates_reset(void);

#endif
