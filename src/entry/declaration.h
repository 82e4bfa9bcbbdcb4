/*
 * declaration.h
 *		What an SQL function must look like to have a C function of ours.
 */
#ifndef FLEX_DECLARATION_H
#define FLEX_DECLARATION_H

#include "access/tupdesc.h"
#include "fmgr.h"

#define FLEX_MOST_ARGUMENTS 16

typedef struct EntryPoint
{
	Oid result; /* InvalidOid: a row, which flex_declaration_check_row() looks at */
	bool returns_set;
	int least; /* arguments, as an older version has them; 0: all */
	int count; /* of types */
	Oid types[FLEX_MOST_ARGUMENTS];
} EntryPoint;

extern void flex_declaration_check(FunctionCallInfo fcinfo, const EntryPoint *entry);
extern void flex_declaration_check_row(TupleDesc desc, const Oid *types, int count);

#endif /* FLEX_DECLARATION_H */
