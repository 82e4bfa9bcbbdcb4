/*
 * lane_rows.c
 *		The lanes of the outbox, and how far each has been read.
 *
 * The number of a role's lanes depends on the accounts, servers and priorities that it uses,
 * and senders read each lane.  So a role has MOST_LANES at most; its other requests share one
 * more, the mixed lane.
 *
 * Each session that enqueues caches the lanes that it has used.  Lanes that it has learned in
 * a transaction that is rolled back are forgotten, because they may have been created in it.
 *
 * The mark of lane 0 is the transaction before which no claim is live, so that a new sender
 * does not read the dead rows of earlier claims.
 *
 * Except for flex_lane_of_request(), which does both itself, the caller must have connected
 * to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "lib/ilist.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "outbox/access.h"
#include "outbox/lane_rows.h"
#include "outbox/roles.h"
#include "outbox/statements.h"

#define MOST_KNOWN 1000 /* lanes in a session's cache, which is emptied when it is full */
#define MOST_LANES 1000 /* of a role, apart from the mixed lane */
#define CHAINS 64       /* of the cache, which is a hash table */

/* Columns of flex_outbox_lanes. */
#define Anum_lanes_id 1
#define Anum_lanes_role_id 2

/* A lane that this session has used. */
typedef struct KnownLane
{
	slist_node node;
	LaneKey key;
	uint32 hash;
	int id;
	bool is_new; /* learned in this transaction */
} KnownLane;

static MemoryContext known_context;
static slist_head known[CHAINS];
static int known_count;
static uint64 known_generation; /* flex_outbox_generation() that they are of */

static void
forget_known(void)
{
	MemoryContextReset(known_context);
	memset(known, 0, sizeof(known));
	known_count = 0;
}

/* Transaction callback.  A prepared transaction may be rolled back by another session, so it counts as aborted. */
static void
keep_or_forget(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		forget_known();
		return;
	}
	if (event != XACT_EVENT_COMMIT)
		return;
	for (int i = 0; i < CHAINS; i++)
	{
		slist_iter iter;

		slist_foreach(iter, &known[i])
		{
			slist_container(KnownLane, node, iter.cur)->is_new = false;
		}
	}
}

/* Subtransaction callback: after a rollback, forget the lanes that this transaction has learned or created. */
static void
forget_new(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *argument)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (int i = 0; i < CHAINS; i++)
	{
		slist_mutable_iter iter;

		slist_foreach_modify(iter, &known[i])
		{
			if (slist_container(KnownLane, node, iter.cur)->is_new)
				slist_delete_current(&iter);
		}
	}
}

/* Create the cache, or empty it if the outbox may have been created anew, or it is full. */
static void
prepare_known(void)
{
	if (known_context == NULL)
	{
		known_context = AllocSetContextCreate(TopMemoryContext, "flex_api lanes", ALLOCSET_SMALL_SIZES);
		RegisterXactCallback(keep_or_forget, NULL);
		RegisterSubXactCallback(forget_new, NULL);
	}
	if (known_generation != flex_outbox_generation() || known_count >= MOST_KNOWN)
		forget_known();
	known_generation = flex_outbox_generation();
}

static uint32
hash_of(const LaneKey *key)
{
	uint32 hash = hash_combine(murmurhash32((uint32) key->role_id), murmurhash32((uint32) key->priority));

	hash = hash_combine(hash, hash_bytes((const unsigned char *) key->operation, (int) strlen(key->operation)));
	if (key->account_sid != NULL)
		hash = hash_combine(hash, hash_bytes((const unsigned char *) key->account_sid, (int) strlen(key->account_sid)));
	if (key->server != NULL)
		hash = hash_combine(hash, hash_bytes((const unsigned char *) key->server, (int) strlen(key->server)));
	return hash;
}

/* Return true if both texts are the same, or both are NULL. */
static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Return the lane of a key from the cache, or NULL. */
static const KnownLane *
find_known(const LaneKey *key, uint32 hash)
{
	slist_iter iter;

	slist_foreach(iter, &known[hash % CHAINS])
	{
		const KnownLane *lane = slist_container(KnownLane, node, iter.cur);

		if (lane->hash == hash && lane->key.role_id == key->role_id && lane->key.priority == key->priority &&
			strcmp(lane->key.operation, key->operation) == 0 && is_same(lane->key.account_sid, key->account_sid) &&
			is_same(lane->key.server, key->server))
			return lane;
	}
	return NULL;
}

static void
remember(const LaneKey *key, uint32 hash, int id)
{
	MemoryContext before = MemoryContextSwitchTo(known_context);
	KnownLane *lane = palloc0(sizeof(KnownLane));

	lane->key = *key;
	lane->key.operation = pstrdup(key->operation);
	lane->key.account_sid = key->account_sid != NULL ? pstrdup(key->account_sid) : NULL;
	lane->key.server = key->server != NULL ? pstrdup(key->server) : NULL;
	lane->hash = hash;
	lane->id = id;
	lane->is_new = true;
	slist_push_head(&known[hash % CHAINS], &lane->node);
	known_count++;
	MemoryContextSwitchTo(before);
}

static Statement find_lane = {
	.sql = "SELECT id FROM $t.flex_outbox_lanes WHERE role_id = $1 AND operation = $2 AND priority = $3 "
		   "AND account_sid IS NOT DISTINCT FROM $4 AND server IS NOT DISTINCT FROM $5 ORDER BY id LIMIT 1",
	.types = {INT4OID, TEXTOID, INT4OID, TEXTOID, TEXTOID},
};

static Statement make_lane = {
	.sql = "WITH made AS (INSERT INTO $t.flex_outbox_lanes (role_id, operation, priority, account_sid, server) "
		   "VALUES ($1, $2, $3, $4, $5) RETURNING id) "
		   "INSERT INTO $t.flex_outbox_marks (lane) SELECT id FROM made RETURNING lane",
	.types = {INT4OID, TEXTOID, INT4OID, TEXTOID, TEXTOID},
};

/* Return the number of the lane with a key, from the table.  If there is none, create it, or return 0 if not "make". */
static int
find_or_make(const LaneKey *key, bool make)
{
	Datum values[] = {
		Int32GetDatum(key->role_id),
		CStringGetTextDatum(key->operation),
		Int32GetDatum(key->priority),
		key->account_sid != NULL ? CStringGetTextDatum(key->account_sid) : (Datum) 0,
		key->server != NULL ? CStringGetTextDatum(key->server) : (Datum) 0,
	};
	const char nulls[] = {' ', ' ', ' ', key->account_sid != NULL ? ' ' : 'n', key->server != NULL ? ' ' : 'n', '\0'};

	if (flex_statement_execute(&find_lane, values, nulls) == 0)
	{
		if (!make)
			return 0;
		if (flex_statement_execute(&make_lane, values, nulls) == 0)
			elog(ERROR, "could not make a lane of the outbox");
	}
	return DatumGetInt32(flex_statement_value(0, 1));
}

/*
 * Return true if a role has MOST_LANES lanes or more.  The dirty snapshot includes those of transactions
 * in progress: otherwise each of these could create as many.
 */
static bool
has_most_lanes(int role_id)
{
	Oid schema = flex_outbox_schema(false);
	Oid index = get_relname_relid("flex_outbox_lanes_key", schema);
	Relation table = table_open(get_relname_relid("flex_outbox_lanes", schema), AccessShareLock);
	SnapshotData dirty;
	ScanKeyData key;
	SysScanDesc scan;
	int count = 0;

	InitDirtySnapshot(dirty);
	ScanKeyInit(&key, Anum_lanes_role_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(role_id));
	scan = systable_beginscan(table, index, OidIsValid(index), &dirty, 1, &key);
	while (count < MOST_LANES && HeapTupleIsValid(systable_getnext(scan)))
		count++;
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return count >= MOST_LANES;
}

/* Return the lane of a key, which is created if necessary, or the role's mixed lane if it has too many. */
static int
find_or_choose(const LaneKey *key)
{
	LaneKey mixed = {.role_id = key->role_id, .operation = MIXED_LANE};
	int id = find_or_make(key, false);

	if (id == 0)
		id = find_or_make(&mixed, false);
	/* A mixed lane that exists is used for every new key, which saves counting the lanes each time. */
	if (id == 0)
		id = find_or_make(has_most_lanes(key->role_id) ? &mixed : key, true);
	return id;
}

/*
 * Return the number of the lane for requests with this key, which is created if necessary.  This
 * connects to SPI and calls flex_outbox_enter() itself.
 */
int
flex_lane_of_request(const LaneKey *key)
{
	const KnownLane *lane;
	OutboxAccess access;
	uint32 hash = hash_of(key);
	int id;

	prepare_known();
	lane = find_known(key, hash);
	if (lane != NULL)
		return lane->id;
	/*
	 * Assign the XID before a lane can get its number: readers assume that they have seen all lanes up
	 * to a number when all transactions that were in progress at that time have ended.
	 */
	(void) GetTopTransactionId();
	SPI_connect();
	flex_outbox_enter(&access);
	id = find_or_choose(key);
	flex_outbox_leave(&access);
	SPI_finish();
	remember(key, hash, id);
	return id;
}

/* The columns of a LaneRow, except for the holes, which are an array. */
static const ResultColumn row_columns[] = {
	RESULT_COLUMN("l.id", INT4OID, LaneRow, id),
	RESULT_COLUMN("l.role_id", INT4OID, LaneRow, role_id),
	RESULT_COLUMN(ROLE_OF_ID("l.role_id"), OIDOID, LaneRow, role),
	RESULT_COLUMN("l.account_sid", TEXTOID, LaneRow, account_sid),
	RESULT_COLUMN("l.server", TEXTOID, LaneRow, server),
	RESULT_COLUMN("l.operation", TEXTOID, LaneRow, operation),
	RESULT_COLUMN("l.priority", INT4OID, LaneRow, priority),
	RESULT_COLUMN("m.xid", XID8OID, LaneRow, mark.at.xid),
	RESULT_COLUMN("m.id", INT8OID, LaneRow, mark.at.id),
};

static Statement list_lanes = {
	.sql = "SELECT $result, m.holes FROM $t.flex_outbox_lanes AS l, LATERAL (SELECT k.xid, k.id, k.holes "
		   "FROM $t.flex_outbox_marks AS k WHERE k.lane = l.id OFFSET 0) AS m WHERE l.id > $1 ORDER BY l.id",
	.types = {INT4OID},
	.result = row_columns,
	.result_count = lengthof(row_columns),
};

/* Return true if a mark names a transaction that has not begun yet, as it may after pg_resetwal. */
static bool
cannot_be(const Mark *mark, uint64 next)
{
	for (int i = 0; i < mark->holes_count; i++)
	{
		if (mark->holes[i] >= next)
			return true;
	}
	return mark->at.xid >= next;
}

/* Read the holes of a mark whose position has been read already.  An impossible mark is replaced by an empty one. */
static void
read_holes(uint64 row, int column, Mark *mark)
{
	Datum *holes;

	deconstruct_array(DatumGetArrayTypeP(flex_statement_value(row, column)), XID8OID, sizeof(uint64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &holes, NULL, &mark->holes_count);
	mark->holes = palloc(sizeof(uint64) * Max(mark->holes_count, 1));
	for (int i = 0; i < mark->holes_count; i++)
		mark->holes[i] = (uint64) DatumGetInt64(holes[i]);
	if (cannot_be(mark, U64FromFullTransactionId(ReadNextFullTransactionId())))
		*mark = (Mark){0};
}

/* Return true if there is a lane with a greater number.  This scans the index itself, because it is called often. */
static bool
has_lane_behind(int behind)
{
	Oid schema = flex_outbox_schema(false);
	Oid index = get_relname_relid("flex_outbox_lanes_pkey", schema);
	Relation table = table_open(get_relname_relid("flex_outbox_lanes", schema), AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData key;
	SysScanDesc scan;
	bool found;

	ScanKeyInit(&key, Anum_lanes_id, BTGreaterStrategyNumber, F_INT4GT, Int32GetDatum(behind));
	scan = systable_beginscan(table, index, OidIsValid(index), snapshot, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(table, AccessShareLock);
	return found;
}

/*
 * Return the lanes with greater numbers than "behind", in their order, allocated in the current memory
 * context, and their number in *count.  The result may be NULL if there are none.
 */
LaneRow *
flex_lane_rows(int behind, int *count)
{
	Datum values[] = {Int32GetDatum(behind)};
	LaneRow *rows;

	*count = 0;
	if (!has_lane_behind(behind))
		return NULL;
	*count = (int) flex_statement_execute(&list_lanes, values, NULL);
	rows = palloc0(sizeof(LaneRow) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		flex_statement_read(&list_lanes, i, &rows[i]);
		read_holes(i, lengthof(row_columns) + 1, &rows[i].mark);
	}
	return rows;
}

static Statement read_claims_mark = {
	.sql = "SELECT xid, holes FROM $t.flex_outbox_marks WHERE lane = " CppAsString2(LANE_OF_CLAIMS),
};

/*
 * Return the mark of the claims: no claim of a transaction before it is live, except for those of its
 * holes.  It is 0 if that is unknown.  The holes are allocated in the current memory context.
 */
Mark
flex_claims_read_mark(void)
{
	Mark mark = {0};

	if (flex_statement_execute(&read_claims_mark, NULL, NULL) == 0)
		return mark;
	mark.at.xid = (uint64) DatumGetInt64(flex_statement_value(0, 1));
	read_holes(0, 2, &mark);
	return mark;
}

/*
 * Update a mark, unless another sender has written one that is further ahead.  One that is ahead of all
 * transactions ($5 is the next) is overwritten.  A row that another sender has locked is skipped.
 */
static Statement write_mark = {
	.sql = "UPDATE $t.flex_outbox_marks SET xid = $2, id = $3, holes = $4 WHERE lane = ("
		   "SELECT lane FROM $t.flex_outbox_marks WHERE lane = $1 AND ((xid, id) <= ($2, $3) OR xid >= $5) "
		   "FOR UPDATE SKIP LOCKED)",
	.types = {INT4OID, XID8OID, INT8OID, XID8ARRAYOID, XID8OID},
};

/* Store the mark of a lane, or of the claims (LANE_OF_CLAIMS). */
void
flex_lane_write_mark(int lane, const Mark *mark)
{
	Datum *holes = palloc(sizeof(Datum) * Max(mark->holes_count, 1));
	uint64 next = U64FromFullTransactionId(ReadNextFullTransactionId());
	Datum values[] = {
		Int32GetDatum(lane), Int64GetDatum((int64) mark->at.xid), Int64GetDatum(mark->at.id),
		(Datum) 0,           Int64GetDatum((int64) next),
	};

	for (int i = 0; i < mark->holes_count; i++)
		holes[i] = Int64GetDatum((int64) mark->holes[i]);
	values[3] = flex_statement_array(XID8OID, holes, mark->holes_count);
	flex_statement_execute(&write_mark, values, NULL);
}
