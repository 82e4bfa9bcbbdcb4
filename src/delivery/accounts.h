/*
 * accounts.h
 *		A cache of the accounts for which roles' requests are made, with their rates and routes.
 */
#ifndef FLEX_ACCOUNTS_H
#define FLEX_ACCOUNTS_H

#include "delivery/holds.h"
#include "http/endpoint.h"
#include "request/catalogue.h"
#include "shared/rates.h"

extern bool flex_accounts_is_sendable(const Identity *identity, const Operation *operation);
extern Route flex_accounts_route(const Identity *identity, const Operation *operation);
extern RateKey flex_accounts_rate_key(const Identity *identity, const Operation *operation);

#endif /* FLEX_ACCOUNTS_H */
