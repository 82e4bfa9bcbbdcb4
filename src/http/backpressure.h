/*
 * backpressure.h
 *		Limits the memory used by answers that have not been processed yet.
 */
#ifndef FLEX_BACKPRESSURE_H
#define FLEX_BACKPRESSURE_H

#include "http/transfer.h"

/* If the one answer that is being read receives nothing for this time, another one gets its turn. */
#define FLEX_STALL_MS 200

extern void flex_backpressure_add(Transfer *transfer);
extern void flex_backpressure_remove(Transfer *transfer);
extern bool flex_backpressure_apply(void);
extern bool flex_backpressure_let_one_go(void);
extern bool flex_backpressure_may_go_on(void);
extern bool flex_backpressure_is_due(void);

#endif /* FLEX_BACKPRESSURE_H */
