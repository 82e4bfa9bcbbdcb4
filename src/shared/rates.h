/*
 * rates.h
 *		Token buckets: how much of a rate is left.
 */
#ifndef FLEX_RATES_H
#define FLEX_RATES_H

/* How many things can have a rate of their own. */
#define FLEX_RATES_CAPACITY 128

typedef struct Rates Rates;

/* Of the memory that sessions share; see shared/registry.h. */
extern Size flex_rates_size(void);
extern void flex_rates_set_up(Rates *memory, bool is_new);

extern int flex_rates_take(int index, double rate, int wanted);
extern void flex_rates_give_back(int index, int count);
extern int64 flex_rates_wait_ms(int index, double rate);

#endif /* FLEX_RATES_H */
