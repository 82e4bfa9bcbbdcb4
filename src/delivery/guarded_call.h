/*
 * guarded_call.h
 *		The functions that are called when a request has ended.
 */
#ifndef FLEX_GUARDED_CALL_H
#define FLEX_GUARDED_CALL_H

#include "outbox/callback_rows.h"

/* How many times a callback is tried. */
#define FLEX_CALLBACK_ATTEMPTS 20

extern ErrorData *flex_guarded_call(const Callback *callback);

#endif /* FLEX_GUARDED_CALL_H */
