/*
 * callback_function.h
 *		Lookup of callback functions, and the check of their owners.
 */
#ifndef FLEX_CALLBACK_FUNCTION_H
#define FLEX_CALLBACK_FUNCTION_H

#include "nodes/pg_list.h"

extern Oid flex_callback_function_find(List *names, Oid *row_type);
extern Oid flex_callback_function_owner(Oid function);
extern void flex_callback_function_check_owner(const char *name, Oid function, Oid owner, Oid role);

#endif /* FLEX_CALLBACK_FUNCTION_H */
