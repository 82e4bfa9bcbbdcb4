/*
 * declaration.h
 *		Checks that SQL functions are declared as their C functions expect.
 */
#ifndef FLEX_DECLARATION_H
#define FLEX_DECLARATION_H

#include "access/tupdesc.h"
#include "fmgr.h"

#define FLEX_MOST_ARGUMENTS 16

/* The declaration that a C function expects. */
typedef struct EntryPoint
{
	Oid result;                     /* type; InvalidOid: not checked, see flex_declaration_check_row() for rows */
	bool returns_set;               /* SETOF */
	int least;                      /* number of arguments in older releases of the extension; 0: count */
	int count;                      /* number of arguments */
	Oid types[FLEX_MOST_ARGUMENTS]; /* of the arguments */
} EntryPoint;

extern void flex_declaration_check(FunctionCallInfo fcinfo, const EntryPoint *entry);
extern void flex_declaration_check_row(TupleDesc desc, const Oid *types, int count);

#endif /* FLEX_DECLARATION_H */
