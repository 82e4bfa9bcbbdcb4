/*
 * webhooks.h
 *	  Webhooks: where an account's events are told.
 */
#ifndef SIMULATOR_WEBHOOKS_H
#define SIMULATOR_WEBHOOKS_H

#include "accounts.h"
#include "problem.h"

extern bool webhooks_add(json_object *wish, Text *made, Problem *problem);
extern void webhooks_clear(void);
extern void webhooks_write(Text *text);
extern bool webhooks_wanted(Account *account);
extern void webhooks_send(const Account *account, const char *event, const char *ttid, json_object *parameters);

#endif
