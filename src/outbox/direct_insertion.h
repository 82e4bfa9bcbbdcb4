/*
 * direct_insertion.h
 *		Insertion of rows into a table without a statement.
 */
#ifndef FLEX_DIRECT_INSERTION_H
#define FLEX_DIRECT_INSERTION_H

#include "utils/relcache.h"

typedef struct DirectInsertion DirectInsertion;

extern DirectInsertion *flex_direct_insertion_begin(Relation table, bool many, bool (*is_plain)(Relation table));
extern MemoryContext flex_direct_insertion_context(const DirectInsertion *target);
extern bool
flex_direct_insertion_add(DirectInsertion *target, const Datum *values, const bool *nulls, bool has_key, size_t size);
extern void flex_direct_insertion_end(DirectInsertion *target);

#endif /* FLEX_DIRECT_INSERTION_H */
