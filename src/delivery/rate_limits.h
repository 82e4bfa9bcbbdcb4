/*
 * rate_limits.h
 *		How fast each operation may be called: flex_api.rate_limits.
 */
#ifndef FLEX_RATE_LIMITS_H
#define FLEX_RATE_LIMITS_H

#include "request/catalogue.h"

extern void flex_rate_limits_define(void);
extern bool flex_rate_limits_is_paused(const Operation *operation);
extern int flex_rate_limits_take(const Operation *operation, int wanted);
extern void flex_rate_limits_give_back(const Operation *operation, int count);
extern int64 flex_rate_limits_wait_ms(const Operation *operation);

#endif /* FLEX_RATE_LIMITS_H */
