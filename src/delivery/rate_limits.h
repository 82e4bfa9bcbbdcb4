/*
 * rate_limits.h
 *		The setting flex_api.rate_limits: how many requests per second an operation may have.
 */
#ifndef FLEX_RATE_LIMITS_H
#define FLEX_RATE_LIMITS_H

#include "request/catalogue.h"
#include "shared/rates.h"

extern void flex_rate_limits_define(void);
extern bool flex_rate_limits_read(int index, RateRow *row, double *per_second);
extern bool flex_rate_limits_is_paused(RateKey key);
extern int flex_rate_limits_take(RateKey key, int wanted);
extern void flex_rate_limits_give_back(RateKey key, int count);
extern int64 flex_rate_limits_wait_ms(RateKey key);
extern int64 flex_rate_limits_step_ms(RateKey key);

#endif /* FLEX_RATE_LIMITS_H */
