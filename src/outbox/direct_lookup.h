/*
 * direct_lookup.h
 *		Rows of a table, found by its primary key and locked without an SQL statement.
 */
#ifndef FLEX_DIRECT_LOOKUP_H
#define FLEX_DIRECT_LOOKUP_H

#include "access/genam.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "nodes/parsenodes.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

typedef struct DirectLookup
{
	Relation table;
	Relation index;
	Snapshot snapshot;
	IndexScanDesc scan;
	ScanKeyData key;
	TupleTableSlot *slot; /* the row that was found last */
} DirectLookup;

/* What became of an attempt to lock a row. */
typedef enum RowLock
{
	ROW_IS_LOCKED, /* by us; the slot has its latest version */
	ROW_IS_BUSY,   /* locked by another session */
	ROW_IS_GONE
} RowLock;

extern bool flex_direct_lookup_is_allowed(Relation table, AclMode rights);
extern void flex_direct_lookup_begin(DirectLookup *lookup, Relation table, Snapshot snapshot);
extern bool flex_direct_lookup_find(DirectLookup *lookup, Datum key);
extern RowLock flex_direct_lookup_lock(DirectLookup *lookup);
extern void flex_direct_lookup_end(DirectLookup *lookup);

#endif /* FLEX_DIRECT_LOOKUP_H */
