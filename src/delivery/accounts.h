/*
 * accounts.h
 *		Which account a role's requests are made as, for the rate that they have.
 */
#ifndef FLEX_ACCOUNTS_H
#define FLEX_ACCOUNTS_H

#include "http/endpoint.h"
#include "request/catalogue.h"
#include "shared/rates.h"

extern RateKey flex_accounts_rate_key(const Identity *identity, const Operation *operation);

#endif /* FLEX_ACCOUNTS_H */
