/*
 * rates.h
 *		Token buckets: how much of a rate is left.
 */
#ifndef FLEX_RATES_H
#define FLEX_RATES_H

/* What has a rate of its own: an account's use of an operation. */
typedef struct RateKey
{
	uint64 account; /* a hash of its SID; 0: all accounts together */
	int operation;  /* its index in the catalogue */
} RateKey;

typedef struct Rates Rates;

/* Of the memory that sessions share; see shared/registry.h. */
extern Size flex_rates_size(void);
extern void flex_rates_set_up(Rates *memory, bool is_new);

extern int flex_rates_take(RateKey key, double rate, int wanted);
extern void flex_rates_give_back(RateKey key, int count);
extern int64 flex_rates_wait_ms(RateKey key, double rate);

#endif /* FLEX_RATES_H */
