/*
 * settlement.h
 *		Settles requests of the outbox: decides what becomes of them after an attempt.
 */
#ifndef FLEX_SETTLEMENT_H
#define FLEX_SETTLEMENT_H

#include "delivery/holds.h"

extern const char *flex_settle_attempt(const Claim *claim, const Outcome *outcome, Wait wait, bool read);
extern const char *flex_settle_unsent(const Claim *claim, const ErrorData *error);
extern void flex_settle_unstarted(const Claim *claim);
extern void flex_settle_orphan(const Claim *claim);

#endif /* FLEX_SETTLEMENT_H */
