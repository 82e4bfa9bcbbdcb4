/*
 * direct_claims.h
 *		Requests to claim, locked and read without an SQL statement.
 */
#ifndef FLEX_DIRECT_CLAIMS_H
#define FLEX_DIRECT_CLAIMS_H

#include "outbox/claim.h"

extern bool flex_direct_claims_lock(const Datum *requests, int request_count, Claim **claims, int *count);

#endif /* FLEX_DIRECT_CLAIMS_H */
