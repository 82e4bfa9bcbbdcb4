/*
 * direct_insertion.c
 *		Rows that are put into a table without a statement.
 *
 * To start and end an INSERT for each row costs more than all the rest, so rows go in by the
 * executor's own functions, as logical replication does it.  Rows without a unique key are
 * collected, and put into a page together.
 *
 * The caller has seen to it that the table has nothing for which a statement is needed: no
 * triggers for rows that are put in, rules, expressions in indexes, checks of somebody's.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "outbox/direct_insertion.h"

#define ROWS_AT_ONCE 64
#define BYTES_AT_ONCE (64 * 1024)

/*
 * What is kept from one call to the next, until the table's definition changes.  Each row in
 * bulk is a call of its own, and to make all that costs more than a third of what the row does.
 */
struct DirectInsertion
{
	MemoryContext context; /* of all this */
	Oid table;
	EState *state;
	ResultRelInfo *info; /* whose relations are open between begin and end alone */
	Oid *indexes;
	TupleDesc desc;
	TupleTableSlot *slots[ROWS_AT_ONCE];
	int slots_made;
	int room; /* slots that this call may use */
	int count;
	size_t size;          /* of all values that are kept */
	MemoryContext values; /* emptied when they have been written */
};

static DirectInsertion *kept;
static bool kept_is_stale;
static bool kept_is_in_use; /* also when an error has left it so */

/* The definition of a table or an index has changed: callback of the relation cache. */
static void
note_change(Datum argument, Oid relation)
{
	if (kept != NULL && (!OidIsValid(relation) || relation == kept->table))
		kept_is_stale = true;
}

/* The index of unique keys; raises an error if somebody has given it another name. */
static List *
index_of_keys(Relation table)
{
	Oid index = get_relname_relid("flex_outbox_unique_key", RelationGetNamespace(table));

	if (!OidIsValid(index))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("index \"flex_outbox_unique_key\" of the outbox does not exist"),
						errhint("Give the unique index on (role_id, unique_key) that name again.")));
	return list_make1_oid(index);
}

/*
 * Put the row in unless its unique key is there, as ON CONFLICT DO NOTHING does:
 * look, put it in on trial, and take it back if another was faster.
 */
static bool
insert_unless_there(DirectInsertion *target, TupleTableSlot *slot)
{
	Relation table = target->info->ri_RelationDesc;
	List *arbiters = index_of_keys(table);
	bool conflict;

	if (RelationGetDescr(table)->constr != NULL)
		ExecConstraints(target->info, slot, target->state);
	do
	{
		ItemPointerData other;
		uint32 token;

		CHECK_FOR_INTERRUPTS();
		conflict = false;
		if (!flex_check_index_constraints(target->info, slot, target->state, &other, arbiters))
			return false;
		token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());
		table_tuple_insert_speculative(table, slot, target->state->es_output_cid, 0, NULL, token);
		flex_insert_speculative_index_tuples(target->info, slot, target->state, &conflict, arbiters);
		table_tuple_complete_speculative(table, slot, token, !conflict);
		SpeculativeInsertionLockRelease(GetCurrentTransactionId());
	} while (conflict);
	return true;
}

/*
 * Open the indexes.  They are locked until the transaction ends, as the table is: to lock them
 * anew for each row costs as much as to put it into one.
 */
static void
open_indexes(DirectInsertion *target, Relation table)
{
	ResultRelInfo *info = target->info;

	info->ri_RelationDesc = table;
	for (int i = 0; i < info->ri_NumIndices; i++)
		info->ri_IndexRelationDescs[i] = index_open(target->indexes[i], RowExclusiveLock);
}

static void
close_indexes(DirectInsertion *target)
{
	for (int i = 0; i < target->info->ri_NumIndices; i++)
		index_close(target->info->ri_IndexRelationDescs[i], NoLock);
}

/* True when no index keeps anything from one row to the next, as some of other kinds do. */
static bool
has_plain_indexes(const DirectInsertion *target)
{
	for (int i = 0; i < target->info->ri_NumIndices; i++)
	{
		if (target->info->ri_IndexRelationDescs[i]->rd_rel->relam != BTREE_AM_OID)
			return false;
	}
	return true;
}

/* Make what is kept of a table, with its indexes open. */
static void
make(Relation table)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "flex_api insertion", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	DirectInsertion *target = palloc0(sizeof(DirectInsertion));

	kept_is_in_use = true;
	target->context = context;
	target->table = RelationGetRelid(table);
	target->state = CreateExecutorState();
	target->info = makeNode(ResultRelInfo);
	InitResultRelInfo(target->info, table, 0, NULL, 0);
	kept = target;
	/* Also for rows with unique keys. */
	ExecOpenIndices(target->info, true);
	target->indexes = palloc(sizeof(Oid) * Max(target->info->ri_NumIndices, 1));
	for (int i = 0; i < target->info->ri_NumIndices; i++)
		target->indexes[i] = RelationGetRelid(target->info->ri_IndexRelationDescs[i]);
	/* Not the table's own, which would be held until the transaction ends. */
	target->desc = CreateTupleDescCopy(RelationGetDescr(table));
	target->values = AllocSetContextCreate(context, "flex_api new rows", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(before);
}

/* Forget what is kept. */
static void
forget(void)
{
	if (kept != NULL)
		MemoryContextDelete(kept->context);
	kept = NULL;
	kept_is_stale = false;
}

/* Have a row's slot for each that is put in together. */
static void
make_slots(DirectInsertion *target, int count)
{
	MemoryContext before = MemoryContextSwitchTo(target->context);

	while (target->slots_made < count)
		target->slots[target->slots_made++] = MakeSingleTupleTableSlot(target->desc, &TTSOpsVirtual);
	target->room = count;
	MemoryContextSwitchTo(before);
}

/*
 * Begin to put rows in, many or one.  NULL: that takes a statement, as is_plain says of the table
 * or as one of its indexes is of a kind that we do not know.
 */
DirectInsertion *
flex_direct_insertion_begin(Relation table, bool many, bool (*is_plain)(Relation table))
{
	static bool registered = false;

	if (!registered)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	registered = true;
	if (kept != NULL && !kept_is_stale && !kept_is_in_use && kept->table == RelationGetRelid(table))
		open_indexes(kept, table);
	else
	{
		forget();
		if (!is_plain(table))
			return NULL;
		make(table);
		if (!has_plain_indexes(kept))
		{
			close_indexes(kept);
			forget();
			return NULL;
		}
	}
	make_slots(kept, many ? ROWS_AT_ONCE : 1);
	kept_is_in_use = true;
	return kept;
}

/* The context in which a row's values are made: it is emptied when they have been written. */
MemoryContext
flex_direct_insertion_context(const DirectInsertion *target)
{
	return target->values;
}

/* Write the rows that were collected. */
static void
flush(DirectInsertion *target)
{
	Relation table = target->info->ri_RelationDesc;
	MemoryContext before = MemoryContextSwitchTo(target->values);
	CommandId command = GetCurrentCommandId(true);

	for (int i = 0; i < target->count && RelationGetDescr(table)->constr != NULL; i++)
		ExecConstraints(target->info, target->slots[i], target->state);
	if (target->count == 1)
		table_tuple_insert(table, target->slots[0], command, 0, NULL);
	else if (target->count > 1)
		table_multi_insert(table, target->slots, target->count, command, 0, NULL);
	for (int i = 0; i < target->count; i++)
		flex_insert_index_tuples(target->info, target->slots[i], target->state);
	for (int i = 0; i < target->count; i++)
		ExecClearTuple(target->slots[i]);
	target->count = 0;
	target->size = 0;
	MemoryContextSwitchTo(before);
	MemoryContextReset(target->values);
	ResetPerTupleExprContext(target->state);
}

/* Put a row in, of so many bytes; false when its unique key is there. */
bool
flex_direct_insertion_add(DirectInsertion *target, const Datum *values, const bool *nulls, bool has_key, size_t size)
{
	TupleTableSlot *slot = target->slots[target->count];
	int attributes = slot->tts_tupleDescriptor->natts;
	bool inserted = true;

	target->state->es_output_cid = GetCurrentCommandId(true);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, sizeof(Datum) * attributes);
	memcpy(slot->tts_isnull, nulls, sizeof(bool) * attributes);
	ExecStoreVirtualTuple(slot);
	if (has_key)
		inserted = insert_unless_there(target, slot);
	else
		target->count++;
	/* Also of what was written at once: its values are let go of with the others. */
	target->size += size;
	if (target->count == 0 || target->count == target->room || target->size >= BYTES_AT_ONCE)
		flush(target);
	return inserted;
}

/* All rows are in. */
void
flex_direct_insertion_end(DirectInsertion *target)
{
	Assert(target == kept);
	flush(target);
	close_indexes(target);
	kept_is_in_use = false;
}
