/*
 * direct_insertion.c
 *		Insertion of rows into a table without a statement.
 *
 * Rows are inserted by executor functions, as in the apply worker of logical replication, to
 * avoid executor startup and shutdown for each row.  Rows without a unique key are buffered
 * and inserted by table_multi_insert().
 *
 * The caller makes sure that the table has nothing that requires a statement or runs code of
 * a user: no triggers on INSERT, rules, CHECK constraints, or indexes of users.
 */
#include "postgres.h"

#include "access/genam.h"
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
#include "outbox/direct_table.h"

#define ROWS_AT_ONCE 64           /* rows in the buffer at most */
#define BYTES_AT_ONCE (64 * 1024) /* size of their values at which they are written */

/* The state of an insertion, which the session keeps for later insertions as long as that of the table. */
struct DirectInsertion
{
	DirectTable *table;
	TupleTableSlot *slots[ROWS_AT_ONCE];
	int slots_made;
	int room;             /* rows that this insertion may buffer */
	int count;            /* rows in the buffer */
	size_t size;          /* bytes of the rows whose values are in the next context */
	MemoryContext values; /* holds the rows' values, and is reset when they have been written */
};

static DirectTable kept;

/* Return a list of the index on unique keys, or raise 42704 if a user has renamed it. */
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
 * Insert a row unless another has its unique key, by a speculative insertion, as ExecInsert() does for
 * ON CONFLICT DO NOTHING.  Return false if it was not inserted.  This may wait for another transaction
 * that is inserting the same key.
 */
static bool
insert_unless_there(DirectInsertion *target, TupleTableSlot *slot)
{
	Relation table = target->table->info->ri_RelationDesc;
	List *arbiters = index_of_keys(table);
	bool conflict;

	if (RelationGetDescr(table)->constr != NULL)
		ExecConstraints(target->table->info, slot, target->table->state);
	do
	{
		ItemPointerData other;
		uint32 token;

		CHECK_FOR_INTERRUPTS();
		conflict = false;
		if (!flex_check_index_constraints(target->table->info, slot, target->table->state, &other, arbiters))
			return false;
		token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());
		table_tuple_insert_speculative(table, slot, target->table->state->es_output_cid, 0, NULL, token);
		flex_insert_speculative_index_tuples(target->table->info, slot, target->table->state, &conflict, arbiters);
		table_tuple_complete_speculative(table, slot, token, !conflict);
		SpeculativeInsertionLockRelease(GetCurrentTransactionId());
	} while (conflict);
	return true;
}

/* Return the state of insertions into the kept table, which is created once. */
static DirectInsertion *
insertion_of_kept(void)
{
	MemoryContext before;
	DirectInsertion *made;

	if (kept.own != NULL)
		return kept.own;
	before = MemoryContextSwitchTo(kept.context);
	made = palloc0(sizeof(DirectInsertion));
	made->table = &kept;
	made->values = AllocSetContextCreate(kept.context, "flex_api new rows", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(before);
	kept.own = made;
	return made;
}

/* Allow the given number of rows to be buffered, and create the slots that are missing. */
static void
make_slots(DirectInsertion *target, int count)
{
	MemoryContext before = MemoryContextSwitchTo(target->table->context);

	while (target->slots_made < count)
		target->slots[target->slots_made++] = MakeSingleTupleTableSlot(target->table->desc, &TTSOpsVirtual);
	target->room = count;
	MemoryContextSwitchTo(before);
}

/*
 * Begin an insertion of many rows, or of one.  Return NULL if a statement is required: because is_plain
 * returns false for the table, or one of the indexes is not a btree.  is_plain is not called again
 * while the table's definition is unchanged.  The result must be passed to flex_direct_insertion_end(),
 * and only one insertion can be in progress.
 */
DirectInsertion *
flex_direct_insertion_begin(Relation table, bool many, bool (*is_plain)(Relation table))
{
	DirectInsertion *target;

	/* true: rows may have unique keys. */
	if (!flex_direct_table_open(&kept, table, true, is_plain))
		return NULL;
	target = insertion_of_kept();
	make_slots(target, many ? ROWS_AT_ONCE : 1);
	return target;
}

/* Return the memory context for the rows' values.  It is reset when they have been written. */
MemoryContext
flex_direct_insertion_context(const DirectInsertion *target)
{
	return target->values;
}

/* Write the buffered rows. */
static void
flush(DirectInsertion *target)
{
	Relation table = target->table->info->ri_RelationDesc;
	MemoryContext before = MemoryContextSwitchTo(target->values);
	CommandId command = GetCurrentCommandId(true);

	for (int i = 0; i < target->count && RelationGetDescr(table)->constr != NULL; i++)
		ExecConstraints(target->table->info, target->slots[i], target->table->state);
	if (target->count == 1)
		table_tuple_insert(table, target->slots[0], command, 0, NULL);
	else if (target->count > 1)
		table_multi_insert(table, target->slots, target->count, command, 0, NULL);
	for (int i = 0; i < target->count; i++)
		flex_insert_index_tuples(target->table->info, target->slots[i], target->table->state);
	for (int i = 0; i < target->count; i++)
		ExecClearTuple(target->slots[i]);
	target->count = 0;
	target->size = 0;
	MemoryContextSwitchTo(before);
	MemoryContextReset(target->values);
	ResetPerTupleExprContext(target->table->state);
}

/*
 * Insert a row, now or with others.  Its values must be in flex_direct_insertion_context(); size is
 * about how many bytes they take.  A row with has_key is inserted at once; return false if another has
 * its unique key.
 */
bool
flex_direct_insertion_add(DirectInsertion *target, const Datum *values, const bool *nulls, bool has_key, size_t size)
{
	TupleTableSlot *slot = target->slots[target->count];
	int attributes = slot->tts_tupleDescriptor->natts;
	bool inserted = true;

	target->table->state->es_output_cid = GetCurrentCommandId(true);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, sizeof(Datum) * attributes);
	memcpy(slot->tts_isnull, nulls, sizeof(bool) * attributes);
	ExecStoreVirtualTuple(slot);
	if (has_key)
		inserted = insert_unless_there(target, slot);
	else
		target->count++;
	/* A row that was written at once counts, too, because its values are freed only by flush(). */
	target->size += size;
	if (target->count == 0 || target->count == target->room || target->size >= BYTES_AT_ONCE)
		flush(target);
	return inserted;
}

/* End an insertion: write the rows that are still buffered, and close the indexes. */
void
flex_direct_insertion_end(DirectInsertion *target)
{
	flush(target);
	flex_direct_table_close(target->table);
}
