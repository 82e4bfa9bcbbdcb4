/*
 * callbacks.h
 *		The functions that are called when a request has ended.
 */
#ifndef FLEX_CALLBACKS_H
#define FLEX_CALLBACKS_H

#include "outbox.h"

/* How many times a callback is tried. */
#define FLEX_CALLBACK_ATTEMPTS 20

extern ErrorData *flex_callback_run(const Callback *callback);

#endif /* FLEX_CALLBACKS_H */
