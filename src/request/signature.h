/*
 * signature.h
 *		Signatures: what has to be known of an SQL function to call its operation.
 */
#ifndef FLEX_SIGNATURE_H
#define FLEX_SIGNATURE_H

#include "fmgr.h"

#include "answer/decoder.h"
#include "request/arguments.h"

/*
 * A snapshot of the function's definition, which later changes of the catalogs do not affect.
 * That of flex_signature_of_call() lives as long as the FmgrInfo, that of
 * flex_signature_of_operation() is in the current memory context.
 */
typedef struct Signature
{
	const Operation *operation;
	Oid function;
	RowDecoder *decoder; /* only of flex_signature_of_call(); NULL: the function returns void */
	bool returns_set;
	int count; /* of parameters */
	Parameter parameters[FLEXIBLE_ARRAY_MEMBER];
} Signature;

extern const Signature *flex_signature_look_up(const Operation *operation, Oid schema);
extern Signature *flex_signature_of_operation(const Operation *operation, Oid schema);
extern RowDecoder *flex_signature_decoder(const Signature *signature);
extern Signature *flex_signature_of_call(FunctionCallInfo fcinfo);
extern void flex_signature_values(const Signature *signature, FunctionCallInfo fcinfo, NullableDatum *values);
extern int flex_signature_position(const Signature *signature, const char *name, Oid type);

#endif /* FLEX_SIGNATURE_H */
