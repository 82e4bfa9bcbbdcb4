/*
 * direct_settlement.h
 *		Settlements of requests that have ended, written without an SQL statement.
 */
#ifndef FLEX_DIRECT_SETTLEMENT_H
#define FLEX_DIRECT_SETTLEMENT_H

#include "outbox/settlement_values.h"

extern bool
flex_direct_settlement_write(const SettlementValues *rows, int count, Settled **settled, uint64 *settled_count);

#endif /* FLEX_DIRECT_SETTLEMENT_H */
