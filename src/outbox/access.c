/*
 * access.c
 *		Location, version and locks of the outbox's tables, and the rights with which they are used.
 *
 * The tables are created by the extension's scripts, while the library is installed with the
 * package.  So between the upgrade of the package and ALTER EXTENSION UPDATE, one is newer
 * than the other.  With tables for which this library was not made, requests can be enqueued,
 * but nothing else is done.
 *
 * The schema and the table of requests are cached, because they are asked for several times
 * per request.  Callbacks of the system caches invalidate what is cached.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "outbox/access.h"

/* The version of the extension in which the outbox's tables or functions were changed last. */
#define TABLES_SINCE "1.1.0"

/* The names of the table of requests: the present one, and that of the first version. */
static const char *const table_names[] = {"flex_outbox_requests", "flex_outbox"};

/* The other tables and views that a sender uses, in the order in which flex_outbox_lock_tables() locks them. */
static const struct
{
	const char *name;
	LOCKMODE mode;
} others[] = {
	{"flex_outbox_later", RowExclusiveLock},
	{"flex_outbox_claims", RowExclusiveLock},
	{"flex_outbox_ordered", RowExclusiveLock},
	{"flex_outbox_freed_keys", RowExclusiveLock},
	{"flex_outbox_expiring", RowExclusiveLock},
	{"flex_outbox_marks", RowExclusiveLock},
	{"flex_outbox_lanes", RowExclusiveLock},
	{"flex_outbox_callbacks", RowExclusiveLock},
	{"flex_outbox_leftovers", RowExclusiveLock},
	{"flex_outbox_forgetting", RowExclusiveLock},
	{"flex_outbox_roles", RowExclusiveLock},
	{"flex_outbox_role_oids", RowExclusiveLock},
	{"flex_outbox_holds", RowExclusiveLock},
	{"flex_outbox_counts", RowExclusiveLock},
	{"flex_outbox_activity", RowExclusiveLock},
	/* views */
	{"flex_outbox", AccessShareLock},
	{"flex_outbox_all", AccessShareLock},
};

/* The extension's row in pg_extension. */
typedef struct Extension
{
	Oid oid; /* InvalidOid: the extension does not exist */
	Oid schema;
	char *version;
} Extension;

static Oid known_schema;
static Oid known_table;     /* the table of requests in known_schema */
static Oid known_extension; /* the extension, or the last one if it was dropped */
static uint64 generation;   /* incremented when the above may have changed */
static bool may_be_gone;    /* some table has changed: check known_table before it is used */

/* Look the extension up in pg_extension.  Not all releases of the server have a system cache for it. */
static Extension
look_up_extension(void)
{
	Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
	Extension found = {.oid = InvalidOid};
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("flex_api"));
	scan = systable_beginscan(catalog, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_extension extension = (Form_pg_extension) GETSTRUCT(tuple);
		bool is_null;
		Datum version = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(catalog), &is_null);

		Assert(!is_null);
		found.oid = extension->oid;
		found.schema = extension->extnamespace;
		found.version = TextDatumGetCString(version);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/*
 * Return the table of requests in a schema, or InvalidOid.  The table must be a member of the
 * extension: otherwise, after DROP EXTENSION, a user could create a table with its name, whose
 * rows would make a worker act as any role that they name.
 */
static Oid
look_up_outbox(Oid schema)
{
	for (size_t i = 0; OidIsValid(schema) && i < lengthof(table_names); i++)
	{
		Oid table = get_relname_relid(table_names[i], schema);

		if (OidIsValid(table) && get_rel_relkind(table) == RELKIND_RELATION &&
			getExtensionOfObject(RelationRelationId, table) == known_extension)
			return table;
	}
	return InvalidOid;
}

/* Return true if known_table still exists, in known_schema and under one of its names. */
static bool
is_still_there(void)
{
	HeapTuple tuple = OidIsValid(known_table) ? SearchSysCache1(RELOID, ObjectIdGetDatum(known_table)) : NULL;
	bool is_there = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	for (size_t i = 0; i < lengthof(table_names); i++)
		is_there |= strcmp(NameStr(((Form_pg_class) GETSTRUCT(tuple))->relname), table_names[i]) == 0;
	is_there &= ((Form_pg_class) GETSTRUCT(tuple))->relnamespace == known_schema;
	ReleaseSysCache(tuple);
	return is_there;
}

/* System cache callback: a schema has changed, perhaps its name.  Such a callback must not access catalogs. */
static void
note_schema_change(Datum argument, int cache, uint32 hash)
{
	generation++;
}

/* System cache callback: a row of pg_class has changed. */
static void
note_table_change(Datum argument, int cache, uint32 hash)
{
	may_be_gone = true;
}

/*
 * Return a number that grows when the outbox may have moved or been created anew.  Plans and
 * anything else that a session has cached for an older number are void.
 */
uint64
flex_outbox_generation(void)
{
	return generation;
}

/* Raise 55000 because the database has no outbox that belongs to the extension. */
static void
refuse_missing_outbox(void)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("the outbox of extension flex_api is not in this database"),
					errhint("Use CREATE EXTENSION, or ALTER EXTENSION flex_api UPDATE.")));
}

/*
 * Return the extension's schema.  If there is no outbox, return InvalidOid if missing_ok, and
 * raise 55000 otherwise.
 */
Oid
flex_outbox_schema(bool missing_ok)
{
	static bool registered = false;
	Extension extension;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(NAMESPACEOID, note_schema_change, (Datum) 0);
		CacheRegisterSyscacheCallback(RELOID, note_table_change, (Datum) 0);
	}
	registered = true;
	if (OidIsValid(known_table) && !may_be_gone)
		return known_schema;
	may_be_gone = false;
	if (is_still_there())
		return known_schema;
	generation++;
	extension = look_up_extension();
	known_schema = extension.schema;
	if (OidIsValid(extension.oid))
		known_extension = extension.oid;
	known_table = look_up_outbox(known_schema);
	if (!OidIsValid(known_table))
	{
		known_schema = InvalidOid;
		if (!missing_ok)
			refuse_missing_outbox();
	}
	return known_schema;
}

/* Return the outbox's table of requests, or raise 55000 if there is none. */
Oid
flex_outbox_table(void)
{
	(void) flex_outbox_schema(false);
	Assert(OidIsValid(known_table));
	return known_table;
}

/* Return the number of the file of the outbox's table of requests, which changes when it is truncated or rewritten. */
Oid
flex_outbox_file(void)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(flex_outbox_table()));
	Oid file;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", known_table);
	file = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
	ReleaseSysCache(tuple);
	return file;
}

/*
 * Return true if the tables are of the first version.  This locks the table of requests until
 * the transaction ends, before it reads the name: see flex_outbox_tables_fit().
 */
bool
flex_outbox_is_of_first_version(void)
{
	char *name;

	LockRelationOid(flex_outbox_table(), RowExclusiveLock);
	name = get_rel_name(known_table);
	return name != NULL && strcmp(name, table_names[0]) != 0;
}

/*
 * Lock one of the other relations, and set *locked to its OID, or to InvalidOid if there is none
 * of that name.  Return false, without waiting, if another session has a conflicting lock.
 */
static bool
try_to_lock(size_t other, Oid *locked)
{
	*locked = get_relname_relid(others[other].name, known_schema);
	return !OidIsValid(*locked) || ConditionalLockRelationOid(*locked, others[other].mode);
}

/*
 * Lock the table of requests until the transaction ends, and return its OID.  If the table is
 * dropped and created anew while this waits for the lock, the new one is locked.  Everything
 * that is cached for flex_outbox_generation() afterwards belongs to this table.
 */
Oid
flex_outbox_lock_requests(void)
{
	Oid table;

	do
	{
		table = flex_outbox_table();
		LockRelationOid(table, RowExclusiveLock);
	} while (table != flex_outbox_table());
	return table;
}

/*
 * Lock the outbox's tables and views until the transaction ends.  A session that has locked some
 * of them never waits for another one, because that could be a deadlock with DROP EXTENSION,
 * which locks them one by one in the order of pg_depend.
 *
 * A lock on the extension, which DROP EXTENSION takes first, would be no solution: any role can
 * hold it, by ALTER FUNCTION ... DEPENDS ON EXTENSION, and would block the senders.
 */
void
flex_outbox_lock_tables(void)
{
	Oid requests = flex_outbox_lock_requests();
	Oid locked[lengthof(others)];
	size_t count = 0;

	while (count < lengthof(others))
	{
		if (try_to_lock(count, &locked[count]))
		{
			count++;
			continue;
		}
		/* Release all, wait for that one without holding any other, and begin again. */
		UnlockRelationOid(requests, RowExclusiveLock);
		for (size_t i = 0; i < count; i++)
		{
			if (OidIsValid(locked[i]))
				UnlockRelationOid(locked[i], others[i].mode);
		}
		LockRelationOid(locked[count], others[count].mode);
		UnlockRelationOid(locked[count], others[count].mode);
		requests = flex_outbox_lock_requests();
		count = 0;
	}
}

/*
 * Compare two versions, which are numbers separated by dots.  Return a value less than, equal to
 * or greater than 0 if a is older than, the same as or newer than b.  A part that is not a number
 * counts as newer than any number.
 */
static int
compare_versions(const char *a, const char *b)
{
	while (*a != '\0' || *b != '\0')
	{
		char *a_end;
		char *b_end;
		long a_number = strtol(a, &a_end, 10);
		long b_number = strtol(b, &b_end, 10);

		if (*a != '\0' && a_end == a)
			return 1;
		if (*b != '\0' && b_end == b)
			return -1;
		if (a_number != b_number)
			return a_number < b_number ? -1 : 1;
		a = *a_end == '.' ? a_end + 1 : a_end;
		b = *b_end == '.' ? b_end + 1 : b_end;
	}
	return 0;
}

/* Compare the versions of the tables and the library.  For the arguments and results see flex_outbox_tables_fit(). */
static bool
versions_fit(int level)
{
	Extension extension = look_up_extension();
	bool too_old;

	if (!OidIsValid(extension.oid))
	{
		if (level >= ERROR)
			refuse_missing_outbox();
		return false;
	}
	too_old = compare_versions(extension.version, TABLES_SINCE) < 0;
	if (!too_old && compare_versions(extension.version, FLEX_API_VERSION) <= 0)
		return true;
	if (level > 0)
		ereport(level,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the tables of extension flex_api are of version %s, its library is of version %s",
						extension.version, FLEX_API_VERSION),
				 errdetail("No request of the outbox is sent until the versions are the same."),
				 too_old ? errhint("Use ALTER EXTENSION flex_api UPDATE.")
						 : errhint("Install the newer library, and restart the server if it preloads flex_api.")));
	return false;
}

/*
 * Return true if this library can use the outbox's tables.  If their version does not fit, report
 * 55000 at the given level, unless it is 0, and return false.  If there is no outbox, raise 55000
 * whatever the level is.
 *
 * The table of requests is locked before the version is read, until the transaction ends.  So an
 * upgrade, which changes the table, cannot happen in the middle of the caller's transaction.
 */
bool
flex_outbox_tables_fit(int level)
{
	LockRelationOid(flex_outbox_table(), RowExclusiveLock);
	return versions_fit(level);
}

/*
 * Return true if this library can use the outbox's tables at present.  This takes no lock, so the
 * answer is good for information only.
 */
bool
flex_outbox_tables_are_known(void)
{
	return versions_fit(0);
}

/* Return the owner of the table of requests. */
static Oid
owner_of_outbox(void)
{
	Oid table = flex_outbox_table();
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", table);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Set a configuration parameter until flex_outbox_leave(). */
static void
set_parameter(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Switch to the rights of the outbox's owner.  This is flex_outbox_enter() for insertions, where
 * its settings would cost too much.  Because the caller's search_path stays in effect, the code
 * that follows must not look up names in SQL, nor call functions that are not the server's own.
 */
void
flex_outbox_enter_to_insert(OutboxAccess *access)
{
	Oid owner = owner_of_outbox();

	GetUserIdAndSecContext(&access->user, &access->security);
	access->nest_level = NewGUCNestLevel();
	/* Otherwise the table's trigger that is enabled for replicas would fire. */
	if (SessionReplicationRole != SESSION_REPLICATION_ROLE_ORIGIN)
		set_parameter("session_replication_role", "origin");
	SetUserIdAndSecContext(owner, access->security | SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * Switch to the rights of the outbox's owner, with a search_path that finds only the server's own
 * objects.  The caller must call flex_outbox_leave() in the same transaction; after an error the
 * abort of the transaction or subtransaction restores everything.
 */
void
flex_outbox_enter(OutboxAccess *access)
{
	static const char *const off[] = {
		/*
		 * Each statement is planned once per session (statements.c), perhaps when the tables are
		 * empty.  Index scans and nested loops are right for large tables.
		 */
		"enable_seqscan", "enable_bitmapscan", "enable_mergejoin", "enable_hashjoin", "jit",
	};

	flex_outbox_enter_to_insert(access);
	set_parameter("search_path", "pg_catalog, pg_temp");
	for (size_t i = 0; i < lengthof(off); i++)
		set_parameter(off[i], "off");
}

/* Restore the rights and settings of the caller of flex_outbox_enter() or flex_outbox_enter_to_insert(). */
void
flex_outbox_leave(OutboxAccess *access)
{
	AtEOXact_GUC(true, access->nest_level);
	SetUserIdAndSecContext(access->user, access->security);
}
