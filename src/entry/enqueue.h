/*
 * enqueue.h
 *		Leaves requests in the outbox.
 */
#ifndef FLEX_ENQUEUE_H
#define FLEX_ENQUEUE_H

#include "fmgr.h"
#include "utils/jsonb.h"

#include "outbox/insertion.h"
#include "request/signature.h"

/* The arguments of flex_enqueue(), and of flex_enqueue_many(), where some are arrays. */
enum
{
	ARGUMENT_OPERATION,
	ARGUMENT_ARGUMENTS,
	ARGUMENT_CONTEXT,
	ARGUMENT_ON_SUCCESS,
	ARGUMENT_ON_FAILURE,
	ARGUMENT_RUN_AT,
	ARGUMENT_PRIORITY,
	ARGUMENT_MAX_ATTEMPTS,
	ARGUMENT_UNIQUE_KEY,
	ARGUMENT_ORDERING_KEY,
	ARGUMENT_EXPIRES_AT
};

extern const Signature *flex_enqueue_signature(const Operation *operation);
extern void flex_enqueue_check_text(const char *function, const char *argument, Jsonb *value);
extern const Signature *flex_enqueue_begin(FunctionCallInfo fcinfo, const char *function, NewRequest *request);
extern void flex_enqueue_check(const Signature *signature, Jsonb *arguments, Jsonb *context);
extern void flex_enqueue_check_key(const char *name, const char *key);
extern void flex_enqueue_read_common(FunctionCallInfo fcinfo, NewRequest *request);
extern void flex_enqueue_insert_new(const NewRequest *requests, int count, int64 *ids);
extern int64 flex_enqueue_insert(const NewRequest *request);

#endif /* FLEX_ENQUEUE_H */
