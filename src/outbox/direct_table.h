/*
 * direct_table.h
 *		A table whose rows are changed by executor functions, without an SQL statement.
 */
#ifndef FLEX_DIRECT_TABLE_H
#define FLEX_DIRECT_TABLE_H

#include "nodes/execnodes.h"
#include "utils/relcache.h"

/* Zeroed at first.  One static variable for each kind of change: only one change of a kind can be in progress. */
typedef struct DirectTable
{
	MemoryContext context; /* contains all of this; child of TopMemoryContext, or NULL if there is no state */
	Oid table;
	EState *state;
	ResultRelInfo *info; /* its relations are open only between open and close */
	Oid *indexes;
	TupleDesc desc; /* a copy: slots would pin the relation's own one, but only until the transaction ends */
	void *own;      /* what its user adds, allocated in the context; NULL at first */
	struct DirectTable *next;
	bool is_registered;
	bool is_stale;
	bool is_in_use; /* also after an error, when the state must not be used again */
} DirectTable;

extern bool flex_direct_table_open(DirectTable *kept, Relation table, bool has_keys, bool (*is_plain)(Relation table));
extern void flex_direct_table_close(DirectTable *kept);

#endif /* FLEX_DIRECT_TABLE_H */
