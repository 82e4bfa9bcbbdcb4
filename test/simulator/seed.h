/*
 * seed.h
 *	  Fills collections with plausible rows.
 */
#ifndef SIMULATOR_SEED_H
#define SIMULATOR_SEED_H

#include "kinds.h"

extern void seed_rows(const Kind *kind, long long count);

#endif
