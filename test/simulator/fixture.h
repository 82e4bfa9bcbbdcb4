/*
 * fixture.h
 *	  States in JSON, to be loaded.
 */
#ifndef SIMULATOR_FIXTURE_H
#define SIMULATOR_FIXTURE_H

#include "accounts.h"
#include "store.h"

/* The host of URLs in a state; what is sent has the one that was asked. */
#define PUBLIC_ORIGIN "https://flex-api.twilio.com"

extern List *fixture_list(Account *account, const char *path, Problem *problem);
extern bool fixture_load(Account *account, json_object *paths, Problem *problem);

#endif
