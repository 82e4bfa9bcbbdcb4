/*
 * forgetter.h
 *		Deletes requests that finished long ago, a portion at a time.
 */
#ifndef FLEX_FORGETTER_H
#define FLEX_FORGETTER_H

#include "delivery/transaction.h"

extern int64 flex_forgetter_run(Transaction *transaction);

#endif /* FLEX_FORGETTER_H */
