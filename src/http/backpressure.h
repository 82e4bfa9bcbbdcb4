/*
 * backpressure.h
 *		Bounds the bytes of answers that nobody has taken yet.
 */
#ifndef FLEX_BACKPRESSURE_H
#define FLEX_BACKPRESSURE_H

#include "http/transfer.h"

/* An answer that moves nothing for so long, when it is the one that is read, gives its turn away. */
#define FLEX_STALL_MS 200

extern void flex_backpressure_add(Transfer *transfer);
extern void flex_backpressure_remove(Transfer *transfer);
extern bool flex_backpressure_apply(void);
extern bool flex_backpressure_let_one_go(void);
extern bool flex_backpressure_may_go_on(void);
extern bool flex_backpressure_is_due(void);

#endif /* FLEX_BACKPRESSURE_H */
