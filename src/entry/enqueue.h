/*
 * enqueue.h
 *		Leaves requests in the outbox.
 */
#ifndef FLEX_ENQUEUE_H
#define FLEX_ENQUEUE_H

#include "utils/jsonb.h"

#include "request/signature.h"

extern const Signature *flex_enqueue_signature(const Operation *operation);
extern void flex_enqueue_check_text(const char *function, const char *argument, Jsonb *value);

#endif /* FLEX_ENQUEUE_H */
