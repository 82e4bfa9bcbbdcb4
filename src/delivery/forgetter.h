/*
 * forgetter.h
 *		Deletes requests that finished longer ago than flex_api.outbox_retention.
 */
#ifndef FLEX_FORGETTER_H
#define FLEX_FORGETTER_H

#include "delivery/transaction.h"

extern int64 flex_forgetter_run(Transaction *transaction);

#endif /* FLEX_FORGETTER_H */
