/*
 * option_list.h
 *		Reads options of foreign servers, user mappings, foreign tables and columns.
 */
#ifndef FLEX_OPTION_LIST_H
#define FLEX_OPTION_LIST_H

#include "nodes/pg_list.h"

extern const char *flex_option_find(const List *options, const char *name);
extern int flex_option_integer(const List *options, const char *name, int unit, int missing);
extern double flex_option_number(const List *options, const char *name, double missing);

#endif /* FLEX_OPTION_LIST_H */
