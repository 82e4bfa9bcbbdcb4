/*
 * guarded_call.h
 *		The functions that are called when a request has ended.
 */
#ifndef FLEX_GUARDED_CALL_H
#define FLEX_GUARDED_CALL_H

#include "delivery/transaction.h"
#include "outbox/callback_rows.h"

/* How many times a callback is tried. */
#define FLEX_CALLBACK_ATTEMPTS 20

extern ErrorData *flex_guarded_call(const Callback *callback);
extern ErrorData *flex_guarded_commit(Transaction *transaction, const Callback *callback);
extern bool flex_guarded_call_timed_out(void);
extern bool flex_guarded_call_is_running(void);
extern bool flex_guarded_call_was_stubborn(void);

#endif /* FLEX_GUARDED_CALL_H */
