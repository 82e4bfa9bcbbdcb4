/*
 * options.h
 *		The options of servers, user mappings, foreign tables and their columns.
 */
#ifndef FLEX_OPTIONS_H
#define FLEX_OPTIONS_H

#include "nodes/pg_list.h"

extern void flex_options_check(List *options, Oid catalog);

#endif /* FLEX_OPTIONS_H */
