/*
 * direct_lookup.c
 *		Rows of a table, found by its primary key and locked without an SQL statement.
 *
 * This does what a scan of the index and SELECT ... FOR NO KEY UPDATE SKIP LOCKED do, without
 * executor startup and shutdown.
 *
 * After an error, the end of the (sub)transaction releases everything.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "outbox/direct_lookup.h"

/* Return true if a table's primary key is its first column alone. */
static bool
is_first_column_key(Relation table)
{
	Oid key = flex_primary_key_of(table);
	Relation index;
	bool is_key;

	if (!OidIsValid(key))
		return false;
	index = index_open(key, AccessShareLock);
	is_key = index->rd_index->indnkeyatts == 1 && index->rd_index->indkey.values[0] == 1;
	index_close(index, NoLock);
	return is_key;
}

/*
 * Return true if rows of a table may be looked up: its first column is the primary key, it has no policies
 * and no tables that inherit from it, which require a statement, the current user has these rights on it, and
 * the transaction may lock rows.
 */
bool
flex_direct_lookup_is_allowed(Relation table, AclMode rights)
{
	const FormData_pg_class *description = table->rd_rel;

	return !XactReadOnly && description->relkind == RELKIND_RELATION && !description->relrowsecurity &&
		   !description->relhassubclass && is_first_column_key(table) &&
		   pg_class_aclmask(RelationGetRelid(table), GetUserId(), rights, ACLMASK_ALL) == rights;
}

/* Begin to look rows up that a snapshot shows.  flex_direct_lookup_is_allowed() must have returned true. */
void
flex_direct_lookup_begin(DirectLookup *lookup, Relation table, Snapshot snapshot)
{
	Oid type;

	lookup->table = table;
	lookup->index = index_open(flex_primary_key_of(table), AccessShareLock);
	lookup->snapshot = snapshot;
	lookup->scan = flex_begin_index_scan(table, lookup->index, snapshot);
	lookup->slot = table_slot_create(table, NULL);
	type = TupleDescAttr(RelationGetDescr(lookup->index), 0)->atttypid;
	ScanKeyInit(&lookup->key, 1, BTEqualStrategyNumber, get_opcode(lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr),
				(Datum) 0);
}

/* Find the row with a key, of which lookup->slot then has the version that the snapshot shows.  Return false if none. */
bool
flex_direct_lookup_find(DirectLookup *lookup, Datum key)
{
	lookup->key.sk_argument = key;
	index_rescan(lookup->scan, &lookup->key, 1, NULL, 0);
	return index_getnext_slot(lookup->scan, ForwardScanDirection, lookup->slot);
}

/*
 * Lock the row that was found, for an update that does not change keys, unless another session has
 * locked it.  As in a statement, the row may have been updated since the snapshot was taken.
 */
RowLock
flex_direct_lookup_lock(DirectLookup *lookup)
{
	ItemPointerData tid = lookup->slot->tts_tid;
	uint8 flags = TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS;
	TM_FailureData failure;

	if (!IsolationUsesXactSnapshot())
		flags |= TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
	switch (table_tuple_lock(lookup->table, &tid, lookup->snapshot, lookup->slot, GetCurrentCommandId(true),
							 LockTupleNoKeyExclusive, LockWaitSkip, flags, &failure))
	{
		case TM_Ok:
			return ROW_IS_LOCKED;
		case TM_WouldBlock:
			return ROW_IS_BUSY;
		case TM_SelfModified:
			return ROW_IS_GONE;
		case TM_Invisible:
			elog(ERROR, "a row of table \"%s\" is invisible", RelationGetRelationName(lookup->table));
		default:
			if (IsolationUsesXactSnapshot())
				ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
								errmsg("could not serialize access due to concurrent update")));
			return ROW_IS_GONE;
	}
}

void
flex_direct_lookup_end(DirectLookup *lookup)
{
	index_endscan(lookup->scan);
	ExecDropSingleTupleTableSlot(lookup->slot);
	index_close(lookup->index, NoLock);
}
