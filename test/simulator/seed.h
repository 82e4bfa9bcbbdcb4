/*
 * seed.h
 *	  Fills collections with plausible rows.
 */
#ifndef SIMULATOR_SEED_H
#define SIMULATOR_SEED_H

#include "accounts.h"
#include "kinds.h"

extern bool seed_collection(Account *account, const char *name, json_object *count, size_t *rows, Problem *problem);

#endif
