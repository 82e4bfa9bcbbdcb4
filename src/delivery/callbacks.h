/*
 * callbacks.h
 *		Runs callbacks, each in a transaction of its own.
 */
#ifndef FLEX_CALLBACKS_H
#define FLEX_CALLBACKS_H

#include "delivery/transaction.h"
#include "outbox/callback_rows.h"

extern bool flex_callbacks_claim(Transaction *transaction, Oid role, Callback *callback);
extern void flex_callbacks_run(Transaction *transaction, Callback *callback, bool is_in_sender);
extern void flex_callbacks_give_up(Transaction *transaction, Callback *callback);
extern TimestampTz flex_callbacks_next_at(Transaction *transaction, Oid role);

#endif /* FLEX_CALLBACKS_H */
