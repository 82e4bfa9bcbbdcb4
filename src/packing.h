/*
 * packing.h
 *		Arguments of an operation, as one JSON object.
 */
#ifndef FLEX_PACKING_H
#define FLEX_PACKING_H

#include "utils/jsonb.h"

#include "request.h"
#include "signature.h"

extern void flex_unpack_arguments(const Signature *signature, Jsonb *arguments, NullableDatum *values);
extern HttpRequest *flex_packing_request(const Signature *signature, const NullableDatum *values);
extern bool flex_packing_is_idempotent(const Operation *operation, Jsonb *arguments);

#endif /* FLEX_PACKING_H */
