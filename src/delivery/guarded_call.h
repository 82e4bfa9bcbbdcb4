/*
 * guarded_call.h
 *		Calls a callback with the rights of its role, limits its time, and catches its errors.
 */
#ifndef FLEX_GUARDED_CALL_H
#define FLEX_GUARDED_CALL_H

#include "delivery/transaction.h"
#include "outbox/callback_rows.h"

/* Maximum number of attempts to run a callback. */
#define FLEX_CALLBACK_ATTEMPTS 20

extern void flex_guarded_call_register(void);
extern ErrorData *flex_guarded_call(const Callback *callback);
extern ErrorData *flex_guarded_commit(Transaction *transaction, const Callback *callback);
extern bool flex_guarded_call_timed_out(void);
extern bool flex_guarded_call_is_running(void);
extern bool flex_guarded_call_was_stubborn(void);

#endif /* FLEX_GUARDED_CALL_H */
