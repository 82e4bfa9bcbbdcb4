/*
 * housekeeping.h
 *		Periodic work on the outbox's tables, apart from sending.
 */
#ifndef FLEX_HOUSEKEEPING_H
#define FLEX_HOUSEKEEPING_H

#include "outbox/lane_rows.h"

extern bool flex_housekeeping_run(bool with_own, const Mark *claims_from);

#endif /* FLEX_HOUSEKEEPING_H */
