/*
 * packing.h
 *		Arguments of an operation, as one JSON object.
 */
#ifndef FLEX_PACKING_H
#define FLEX_PACKING_H

#include "utils/jsonb.h"

#include "signature.h"

extern void flex_unpack_arguments(const Signature *signature, Jsonb *arguments, NullableDatum *values);

#endif /* FLEX_PACKING_H */
