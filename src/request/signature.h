/*
 * signature.h
 *		An SQL function of the extension, with all that calling it needs.
 */
#ifndef FLEX_SIGNATURE_H
#define FLEX_SIGNATURE_H

#include "fmgr.h"

#include "answer/decoder.h"
#include "request/arguments.h"

/*
 * What the function is when it is asked for, whatever becomes of the catalogs then.
 * A call's lives as long as the call's FmgrInfo; an operation's in the context that
 * was current, such as a query's for a scan.
 */
typedef struct Signature
{
	const Operation *operation;
	Oid function;
	RowDecoder *decoder; /* of a call; NULL: the function returns void */
	bool returns_set;
	int count;
	Parameter parameters[FLEXIBLE_ARRAY_MEMBER];
} Signature;

extern const Signature *flex_signature_look_up(const Operation *operation, Oid schema);
extern Signature *flex_signature_of_operation(const Operation *operation, Oid schema);
extern RowDecoder *flex_signature_decoder(const Signature *signature);
extern Signature *flex_signature_of_call(FunctionCallInfo fcinfo);
extern void flex_signature_values(const Signature *signature, FunctionCallInfo fcinfo, NullableDatum *values);
extern int flex_signature_position(const Signature *signature, const char *name, Oid type);

#endif /* FLEX_SIGNATURE_H */
