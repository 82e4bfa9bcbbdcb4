/*
 * json_arguments.h
 *		Arguments of an operation as one JSON object.
 */
#ifndef FLEX_JSON_ARGUMENTS_H
#define FLEX_JSON_ARGUMENTS_H

#include "utils/jsonb.h"

#include "request/request.h"
#include "request/signature.h"

extern void flex_json_arguments_unpack(const Signature *signature, Jsonb *arguments, NullableDatum *values);
extern HttpRequest *flex_json_arguments_request(const Signature *signature, const NullableDatum *values);
extern bool flex_json_arguments_is_idempotent(const Operation *operation, Jsonb *arguments);

#endif /* FLEX_JSON_ARGUMENTS_H */
