/*
 * roles.c
 *		The numbers by which the outbox's rows know their roles.
 *
 * OIDs of roles do not survive a dump, and names change.  So each role that enqueues
 * gets a number.  flex_outbox_roles has its name and is dumped; flex_outbox_role_oids
 * has its OID and is not.  Where a dump was restored, a number that has no OID yet
 * belongs to the role of its name, which gets it for good.
 *
 * What is written here is never waited for by a sender: only a role's first request
 * waits for another session of the same role that enqueues its first.  The caller of
 * all but flex_outbox_known_role() has connected to SPI, and stands between
 * flex_outbox_enter() and flex_outbox_leave().
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

#define KNOWN_ROLES 16 /* that a session keeps in mind: one that is pooled acts for some in turn */

/* The columns of flex_outbox_role_oids. */
enum
{
	Anum_role_oids_role = 1,
	Anum_role_oids_id
};

typedef struct KnownRole
{
	Oid role; /* InvalidOid: free */
	int id;
} KnownRole;

static KnownRole known[KNOWN_ROLES];
static int next_known;
static uint64 known_generation; /* flex_outbox_generation() that they are of */

/* What is known of an outbox that is no more is void. */
static void
forget_old_generation(void)
{
	(void) flex_outbox_schema(false);
	if (known_generation == flex_outbox_generation())
		return;
	memset(known, 0, sizeof(known));
	known_generation = flex_outbox_generation();
}

/* The number of a role, if this session has read it before; else 0. */
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

/* Keep a role's number in mind. */
static void
remember(Oid role, int id)
{
	known[next_known] = (KnownRole){.role = role, .id = id};
	next_known = (next_known + 1) % KNOWN_ROLES;
}

/*
 * The number that a role has in this cluster, or 0: as committed by now, whatever the
 * transaction's snapshot is.  One that this transaction gives the role is not kept in
 * mind, for it may be rolled back.
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

#define UNTAKEN "NOT EXISTS (SELECT FROM $t.flex_outbox_role_oids AS m WHERE m.id = n.id)"

static Statement find_by_name = {
	.sql = "SELECT id FROM $t.flex_outbox_roles AS n WHERE n.name = $1 AND " UNTAKEN " ORDER BY id LIMIT 1",
	.types = {NAMEOID},
};

/* The number of a role, which may have it by its name alone; 0: none. */
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

/* Names that are no longer those of their roles.  What another session writes is left to it. */
#define STALE_NAMES                                                                                                    \
	"UPDATE $t.flex_outbox_roles AS n SET name = stale.rolname FROM (SELECT n.id, r.rolname "                          \
	"FROM $t.flex_outbox_roles AS n JOIN $t.flex_outbox_role_oids AS m ON m.id = n.id "                                \
	"LEFT JOIN pg_roles AS r ON r.oid = m.role WHERE n.name IS DISTINCT FROM r.rolname"

static Statement refresh_one_name = {
	.sql = STALE_NAMES " AND n.name = $1 FOR UPDATE OF n SKIP LOCKED) AS stale WHERE n.id = stale.id",
	.types = {NAMEOID},
};

static Statement refresh_names = {
	.sql = STALE_NAMES " FOR UPDATE OF n SKIP LOCKED) AS stale WHERE n.id = stale.id",
};

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

/* Give a role its number; 0 when another session was faster. */
static int
take(Oid role, const char *name)
{
	NameData role_name;
	Oid sequence = get_relname_relid("flex_outbox_roles_id_seq", flex_outbox_schema(false));
	Datum name_value[] = {NameGetDatum(&role_name)};
	Datum values[] = {ObjectIdGetDatum(role), NameGetDatum(&role_name), ObjectIdGetDatum(sequence)};
	Datum note[] = {(Datum) 0, NameGetDatum(&role_name)};

	namestrcpy(&role_name, name);
	/* A role that had this name before has another by now, or is gone. */
	(void) flex_statement_execute(&refresh_one_name, name_value, NULL);
	if (flex_statement_execute(&take_number, values, NULL) == 0)
		return 0;
	note[0] = flex_statement_value(0, 1);
	(void) flex_statement_execute(&note_name, note, NULL);
	return DatumGetInt32(note[0]);
}

/* The number of a role, which gets one if it has none. */
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

#define UNTAKEN_BY_NAME                                                                                                \
	"FROM $t.flex_outbox_roles AS n JOIN pg_roles AS r ON r.rolname = n.name WHERE " UNTAKEN                           \
	" AND NOT EXISTS (SELECT FROM $t.flex_outbox_role_oids AS m WHERE m.role = r.oid)"

static Statement look_for_untaken = {
	.sql = "SELECT " UNTAKEN_BY_NAME " LIMIT 1",
};

static Statement take_by_names = {
	.sql = "INSERT INTO $t.flex_outbox_role_oids (role, id) SELECT r.oid, min(n.id) " UNTAKEN_BY_NAME " GROUP BY r.oid",
};

/*
 * Give roles the numbers that are theirs by name, and numbers the names that their
 * roles have now.  No session's transaction is waited for: while one gives its role a
 * number, the next look does this.
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
