/*
 * roles.c
 *		The numbers that identify roles in the outbox's tables.
 *
 * OIDs of roles do not survive a dump, and names can change.  So each role that enqueues gets
 * a number.  flex_outbox_roles has the number's role name and is dumped;
 * flex_outbox_role_oids has the role's OID and is not dumped.  After a dump was restored, a
 * number without an OID belongs to the role that has its name, which then takes the number.
 *
 * Senders never wait for locks here.  Only a role's first request waits, for another session
 * that enqueues the same role's first request at the same time.
 *
 * Except for flex_outbox_known_role(), the caller must have connected to SPI, and called
 * flex_outbox_enter().
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "outbox/access.h"
#include "outbox/roles.h"
#include "outbox/statements.h"

#define KNOWN_ROLES 16 /* roles that a session caches: a pooled session serves several in turn */

/* The columns of flex_outbox_role_oids. */
enum
{
	Anum_role_oids_role = 1,
	Anum_role_oids_id
};

typedef struct KnownRole
{
	Oid role; /* InvalidOid: the entry is free */
	int id;
} KnownRole;

static KnownRole known[KNOWN_ROLES]; /* the cache */
static int next_known;               /* entry to be replaced next */
static uint64 known_generation;      /* flex_outbox_generation() for which the cache is valid */

/* Empty the cache if the outbox may have been created anew. */
static void
forget_old_generation(void)
{
	(void) flex_outbox_schema(false);
	if (known_generation == flex_outbox_generation())
		return;
	memset(known, 0, sizeof(known));
	known_generation = flex_outbox_generation();
}

/* Return the number of a role if it is in this session's cache, else 0. */
int
flex_outbox_known_role(Oid role)
{
	forget_old_generation();
	for (int i = 0; i < KNOWN_ROLES; i++)
	{
		if (known[i].role == role)
			return known[i].id;
	}
	return 0;
}

/* Put a role's number into the cache. */
static void
remember(Oid role, int id)
{
	known[next_known] = (KnownRole){.role = role, .id = id};
	next_known = (next_known + 1) % KNOWN_ROLES;
}

/*
 * Return the number that a role has in this cluster, or 0.  The table is read with the latest
 * snapshot, because after another session was faster, the transaction's snapshot may not show the
 * number.  A number that this transaction has inserted is not cached: it may be rolled back.
 */
static int
look_up(Oid role)
{
	Relation table = table_open(get_relname_relid("flex_outbox_role_oids", flex_outbox_schema(false)), AccessShareLock);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	int id = 0;

	ScanKeyInit(&key, Anum_role_oids_role, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(role));
	scan = systable_beginscan(table, InvalidOid, false, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool is_null;

		id = DatumGetInt32(heap_getattr(tuple, Anum_role_oids_id, RelationGetDescr(table), &is_null));
		Assert(!is_null && id > 0);
		if (!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)))
			remember(role, id);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(table, AccessShareLock);
	return id;
}

/* True for a row n of flex_outbox_roles whose number no role of this cluster has taken. */
#define UNTAKEN "NOT EXISTS (SELECT FROM $t.flex_outbox_role_oids AS m WHERE m.id = n.id OFFSET 0)"

static Statement find_by_name = {
	.sql = "SELECT id FROM $t.flex_outbox_roles AS n WHERE n.name = $1 AND " UNTAKEN " ORDER BY id LIMIT 1",
	.types = {NAMEOID},
};

/* Return the number of a role, or the one that it would take by its name, or 0.  Nothing is written. */
int
flex_outbox_find_role(Oid role, const char *name)
{
	NameData role_name;
	Datum values[] = {NameGetDatum(&role_name)};
	int id = flex_outbox_known_role(role);

	if (id == 0)
		id = look_up(role);
	if (id != 0)
		return id;
	namestrcpy(&role_name, name);
	return flex_statement_execute(&find_by_name, values, NULL) == 0 ? 0 : DatumGetInt32(flex_statement_value(0, 1));
}

/*
 * The role that has a number n.id in this cluster, if any: its name, or NULL if it was dropped.  Without
 * the inner OFFSET 0 the planner may prefer to read all of flex_outbox_role_oids in the order of the OIDs.
 */
#define ROLE_OF_NUMBER                                                                                                 \
	"SELECT r.rolname FROM (SELECT o.role FROM $t.flex_outbox_role_oids AS o WHERE o.id = n.id OFFSET 0) AS m "        \
	"LEFT JOIN pg_roles AS r ON r.oid = m.role"

/*
 * Update names that are no longer those of their roles; that of a dropped role becomes NULL.  The
 * two statements below complete the text.  They skip rows that other sessions have locked.
 */
#define STALE_NAMES                                                                                                    \
	"UPDATE $t.flex_outbox_roles AS n SET name = (" ROLE_OF_NUMBER ") WHERE n.ctid = ANY (ARRAY("                      \
	"SELECT n.ctid FROM $t.flex_outbox_roles AS n, LATERAL (" ROLE_OF_NUMBER " OFFSET 0) AS now "                      \
	"WHERE n.name IS DISTINCT FROM now.rolname"

static Statement refresh_one_name = {
	.sql = STALE_NAMES " AND n.name = $1 FOR UPDATE OF n SKIP LOCKED))",
	.types = {NAMEOID},
};

static Statement refresh_names = {
	.sql = STALE_NAMES " FOR UPDATE OF n SKIP LOCKED))",
};

/*
 * Give a role ($1) the number that belongs to its name ($2), else a new one.  If another session is
 * doing so, this waits for the end of its transaction, and returns no row if it commits.
 */
static Statement take_number = {
	.sql = "INSERT INTO $t.flex_outbox_role_oids (role, id) SELECT $1, coalesce((SELECT min(n.id) "
		   "FROM $t.flex_outbox_roles AS n WHERE n.name = $2 AND " UNTAKEN "), nextval($3)) "
		   "ON CONFLICT DO NOTHING RETURNING id",
	.types = {OIDOID, NAMEOID, REGCLASSOID},
};

static Statement note_name = {
	.sql = "INSERT INTO $t.flex_outbox_roles (id, name) OVERRIDING SYSTEM VALUE VALUES ($1, $2) ON CONFLICT DO NOTHING",
	.types = {INT4OID, NAMEOID},
};

/* Give a role a number and return it; return 0 if another session was faster. */
static int
take(Oid role, const char *name)
{
	NameData role_name;
	Oid sequence = get_relname_relid("flex_outbox_roles_id_seq", flex_outbox_schema(false));
	Datum name_value[] = {NameGetDatum(&role_name)};
	Datum values[] = {ObjectIdGetDatum(role), NameGetDatum(&role_name), ObjectIdGetDatum(sequence)};
	Datum note[] = {(Datum) 0, NameGetDatum(&role_name)};

	namestrcpy(&role_name, name);
	/* Another number may still have this name, of a role that has been renamed or dropped since. */
	(void) flex_statement_execute(&refresh_one_name, name_value, NULL);
	if (flex_statement_execute(&take_number, values, NULL) == 0)
		return 0;
	note[0] = flex_statement_value(0, 1);
	(void) flex_statement_execute(&note_name, note, NULL);
	return DatumGetInt32(note[0]);
}

/* Return the number of a role, after giving it one if it has none. */
int
flex_outbox_make_role(Oid role, const char *name)
{
	int id = look_up(role);

	while (id == 0)
	{
		CHECK_FOR_INTERRUPTS();
		id = take(role, name);
		if (id == 0)
			id = look_up(role);
	}
	return id;
}

/* Untaken numbers n, with the roles r that have their names, and no number yet. */
#define UNTAKEN_BY_NAME                                                                                                \
	"FROM $t.flex_outbox_roles AS n, LATERAL (SELECT p.oid FROM pg_roles AS p WHERE p.rolname = n.name OFFSET 0) "     \
	"AS r WHERE " UNTAKEN " AND NOT EXISTS (SELECT FROM $t.flex_outbox_role_oids AS m WHERE m.role = r.oid OFFSET 0)"

static Statement look_for_untaken = {
	.sql = "SELECT " UNTAKEN_BY_NAME " LIMIT 1",
};

static Statement take_by_names = {
	.sql = "INSERT INTO $t.flex_outbox_role_oids (role, id) SELECT r.oid, min(n.id) " UNTAKEN_BY_NAME " GROUP BY r.oid",
};

/*
 * Update the names of the numbers, and give roles the numbers that belong to their names.  This
 * waits for no other session: if one is inserting a number for a role, the second part is left to a
 * later call.  The lock keeps take_number of other sessions out until the transaction ends.
 */
void
flex_outbox_refresh_roles(void)
{
	Oid table = get_relname_relid("flex_outbox_role_oids", flex_outbox_schema(false));

	(void) flex_statement_execute(&refresh_names, NULL, NULL);
	if (flex_statement_execute(&look_for_untaken, NULL, NULL) > 0 &&
		ConditionalLockRelationOid(table, ShareRowExclusiveLock))
		(void) flex_statement_execute(&take_by_names, NULL, NULL);
}
