/*
 * sendable.h
 *		Checks whether requests of a role and an account can be made at all.
 */
#ifndef FLEX_SENDABLE_H
#define FLEX_SENDABLE_H

#include "http/endpoint.h"
#include "outbox/claims.h"
#include "request/signature.h"

extern bool flex_is_sendable(const Identity *identity);
extern Identity flex_claim_identity(const Claim *claim);
extern void flex_sendable_check(const Claim *claim, const Signature *signature);

#endif /* FLEX_SENDABLE_H */
