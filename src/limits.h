/*
 * limits.h
 *		How fast each operation may be called: flex_api.rate_limits.
 */
#ifndef FLEX_LIMITS_H
#define FLEX_LIMITS_H

#include "operations.h"

extern void flex_limits_define(void);
extern int flex_limits_take(const Operation *operation, int wanted);
extern void flex_limits_give_back(const Operation *operation, int count);
extern int64 flex_limits_wait_ms(const Operation *operation);

#endif /* FLEX_LIMITS_H */
