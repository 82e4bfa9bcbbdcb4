/*
 * seed.h
 *	  Fills collections with plausible rows.
 */
#ifndef SIMULATOR_SEED_H
#define SIMULATOR_SEED_H

#include "accounts.h"
#include "kinds.h"

extern void seed_rows(Account *account, const Kind *kind, long long count);

#endif
