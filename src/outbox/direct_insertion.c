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

#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "outbox/direct_insertion.h"

#define ROWS_AT_ONCE 64
#define BYTES_AT_ONCE (64 * 1024)

struct DirectInsertion
{
	EState *state;
	ResultRelInfo *info;
	TupleTableSlot *slots[ROWS_AT_ONCE];
	int room; /* slots that there are */
	int count;
	size_t size;           /* of the values in them */
	MemoryContext context; /* of the values, until they are written */
};

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

/* Begin to put rows in, many or one; keyed: some have unique keys. */
DirectInsertion *
flex_direct_insertion_begin(Relation table, bool many, bool keyed)
{
	DirectInsertion *target = palloc0(sizeof(DirectInsertion));

	target->state = CreateExecutorState();
	target->info = makeNode(ResultRelInfo);
	InitResultRelInfo(target->info, table, 0, NULL, 0);
	ExecOpenIndices(target->info, keyed);
	target->room = many ? ROWS_AT_ONCE : 1;
	for (int i = 0; i < target->room; i++)
		target->slots[i] = ExecInitExtraTupleSlot(target->state, RelationGetDescr(table), &TTSOpsVirtual);
	target->context = AllocSetContextCreate(CurrentMemoryContext, "flex_api new rows", ALLOCSET_DEFAULT_SIZES);
	return target;
}

/* The context in which a row's values are made: it is emptied when they have been written. */
MemoryContext
flex_direct_insertion_context(const DirectInsertion *target)
{
	return target->context;
}

/* Write the rows that were collected. */
static void
flush(DirectInsertion *target)
{
	Relation table = target->info->ri_RelationDesc;
	MemoryContext before = MemoryContextSwitchTo(target->context);

	for (int i = 0; i < target->count && RelationGetDescr(table)->constr != NULL; i++)
		ExecConstraints(target->info, target->slots[i], target->state);
	if (target->count > 0)
		table_multi_insert(table, target->slots, target->count, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < target->count; i++)
		flex_insert_index_tuples(target->info, target->slots[i], target->state);
	for (int i = 0; i < target->count; i++)
		ExecClearTuple(target->slots[i]);
	target->count = 0;
	target->size = 0;
	MemoryContextSwitchTo(before);
	MemoryContextReset(target->context);
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
	else if (target->room == 1)
		ExecSimpleRelationInsert(target->info, target->state, slot);
	else
	{
		target->count++;
		target->size += size;
	}
	/* Also what was written at once, whose values are let go of. */
	if (target->count == 0 || target->count == target->room || target->size >= BYTES_AT_ONCE)
		flush(target);
	return inserted;
}

/* All rows are in. */
void
flex_direct_insertion_end(DirectInsertion *target)
{
	flush(target);
	ExecCloseIndices(target->info);
	ExecResetTupleTable(target->state->es_tupleTable, false);
	FreeExecutorState(target->state);
	MemoryContextDelete(target->context);
	pfree(target);
}
