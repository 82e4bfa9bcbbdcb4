/*
 * direct_table.c
 *		A table whose rows are changed by executor functions, without an SQL statement.
 *
 * The session keeps the state for later changes, until the table's definition changes: a change
 * may be one of many small ones, and building the state costs more than such a change.
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "outbox/direct_table.h"

/* All that have been opened, linked by their "next". */
static DirectTable *registered;

/* Relation cache callback: the definition of a table or of one of its indexes has changed. */
static void
note_change(Datum argument, Oid relation)
{
	for (DirectTable *kept = registered; kept != NULL; kept = kept->next)
	{
		if (kept->context != NULL && (!OidIsValid(relation) || relation == kept->table))
			kept->is_stale = true;
	}
}

/* Have note_change() take notice of a table.  The server has room for ten such callbacks, so all tables share one. */
static void
register_table(DirectTable *kept)
{
	if (kept->is_registered)
		return;
	if (registered == NULL)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	kept->is_registered = true;
	kept->next = registered;
	registered = kept;
}

/*
 * Open the indexes.  close_indexes() keeps their locks until the transaction ends, because taking the
 * locks again for each row would cost as much as an index insertion.
 */
static void
open_indexes(DirectTable *kept, Relation table)
{
	ResultRelInfo *info = kept->info;

	info->ri_RelationDesc = table;
	for (int i = 0; i < info->ri_NumIndices; i++)
		info->ri_IndexRelationDescs[i] = index_open(kept->indexes[i], RowExclusiveLock);
}

static void
close_indexes(DirectTable *kept)
{
	for (int i = 0; i < kept->info->ri_NumIndices; i++)
		index_close(kept->info->ri_IndexRelationDescs[i], NoLock);
}

/*
 * Return true if all indexes are btrees into which rows are inserted.  Other access methods may keep state in
 * IndexInfo between insertions.  So does an index that CREATE INDEX CONCURRENTLY has not built yet: when it
 * becomes ready, note_change() need not be called for the table, and later rows would not be inserted into it.
 */
static bool
has_plain_indexes(const DirectTable *kept)
{
	const ResultRelInfo *info = kept->info;

	for (int i = 0; i < info->ri_NumIndices; i++)
	{
		if (info->ri_IndexRelationDescs[i]->rd_rel->relam != BTREE_AM_OID ||
			!info->ri_IndexRelationInfo[i]->ii_ReadyForInserts)
			return false;
	}
	return true;
}

/* Free the state, if there is one. */
static void
forget(DirectTable *kept)
{
	if (kept->context != NULL)
		MemoryContextDelete(kept->context);
	*kept = (DirectTable){.is_registered = kept->is_registered, .next = kept->next};
}

/* Create the state for a table, with its indexes open.  The caller has made sure that no trigger is to be fired. */
static void
make(DirectTable *kept, Relation table, bool has_keys)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "flex_api direct table", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);

	kept->context = context;
	kept->is_in_use = true;
	kept->table = RelationGetRelid(table);
	kept->state = CreateExecutorState();
	kept->info = makeNode(ResultRelInfo);
	InitResultRelInfo(kept->info, table, 0, NULL, 0);
	kept->info->ri_TrigDesc = NULL;
	/* has_keys: prepare for speculative insertions of rows with unique keys. */
	ExecOpenIndices(kept->info, has_keys);
	kept->indexes = palloc(sizeof(Oid) * Max(kept->info->ri_NumIndices, 1));
	for (int i = 0; i < kept->info->ri_NumIndices; i++)
		kept->indexes[i] = RelationGetRelid(kept->info->ri_IndexRelationDescs[i]);
	kept->desc = CreateTupleDescCopy(RelationGetDescr(table));
	MemoryContextSwitchTo(before);
}

/*
 * Begin to change a table.  Return false if a statement is required: because is_plain returns false for
 * the table, or one of the indexes is not a btree or not ready.  is_plain is not called again while the table's
 * definition is unchanged.  After true, the caller must call flex_direct_table_close(), except on error.
 */
bool
flex_direct_table_open(DirectTable *kept, Relation table, bool has_keys, bool (*is_plain)(Relation table))
{
	register_table(kept);
	if (kept->context != NULL && !kept->is_stale && !kept->is_in_use && kept->table == RelationGetRelid(table))
	{
		kept->is_in_use = true;
		open_indexes(kept, table);
		return true;
	}
	forget(kept);
	if (!is_plain(table))
		return false;
	make(kept, table, has_keys);
	if (has_plain_indexes(kept))
		return true;
	close_indexes(kept);
	forget(kept);
	return false;
}

/* End a change: close the indexes. */
void
flex_direct_table_close(DirectTable *kept)
{
	close_indexes(kept);
	kept->is_in_use = false;
}
