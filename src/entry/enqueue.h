/*
 * enqueue.h
 *		Leaves requests in the outbox.
 */
#ifndef FLEX_ENQUEUE_H
#define FLEX_ENQUEUE_H

#include "request/signature.h"

extern const Signature *flex_enqueue_signature(const Operation *operation);

#endif /* FLEX_ENQUEUE_H */
