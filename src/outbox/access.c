/*
 * access.c
 *		Where the outbox's tables are, of which version, and with whose rights
 *		they are used.
 *
 * The tables come with the extension's scripts, the library with the package: for
 * a while after an upgrade one is newer than the other.  Tables that this library
 * was not made for are left alone, but for requests that are put in.
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

/* The name of the table of requests, and that of the first version, whose readers had the table itself. */
static const char *const table_names[] = {"flex_outbox_requests", "flex_outbox"};

/* The other tables that are written and the views that are read, in the order in which they are locked. */
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

/* The extension's row in the catalog. */
typedef struct Extension
{
	Oid oid; /* InvalidOid: it is not there */
	Oid schema;
	char *version;
} Extension;

static Oid known_schema;
static Oid known_table;     /* the outbox there */
static Oid known_extension; /* whose schema that is, or was */
static uint64 generation;   /* of what is known; goes up when it may have changed */
static bool may_be_gone;    /* the table may not be where it was, for some table was changed */

/* Look the extension up in the catalog, which has no cache of it in every release. */
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
 * The extension's own outbox in a schema.  What only has its name, once the
 * extension is gone, is somebody else's: its rows would have a worker act as
 * whatever role they name.
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

/* True while the table that we know is where it was. */
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

/* A schema has changed, perhaps its name: callback of the system cache, which must do little. */
static void
note_schema_change(Datum argument, int cache, uint32 hash)
{
	generation++;
}

/* A table has changed: such a callback, too. */
static void
note_table_change(Datum argument, int cache, uint32 hash)
{
	may_be_gone = true;
}

/* Counts what may have changed where the extension is: what was prepared for it before is void. */
uint64
flex_outbox_generation(void)
{
	return generation;
}

/* Raise 55000: there is no outbox, or none of ours. */
static void
refuse_missing_outbox(void)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("the outbox of extension flex_api is not in this database"),
					errhint("Use CREATE EXTENSION, or ALTER EXTENSION flex_api UPDATE.")));
}

/* The extension's schema; InvalidOid when it is not there and may be missing. */
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
	/* It is asked for several times for each request. */
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

/* The outbox's table of requests; raises 55000 where there is none. */
Oid
flex_outbox_table(void)
{
	(void) flex_outbox_schema(false);
	Assert(OidIsValid(known_table));
	return known_table;
}

/*
 * True when the tables are the first version's.  The table is locked before its name is
 * read: see flex_outbox_tables_fit().
 */
bool
flex_outbox_is_of_first_version(void)
{
	char *name;

	LockRelationOid(flex_outbox_table(), RowExclusiveLock);
	name = get_rel_name(known_table);
	return name != NULL && strcmp(name, table_names[0]) != 0;
}

/* Lock one of the others, unless somebody has it; a relation of this name need not be there. */
static bool
try_to_lock(size_t other, Oid *locked)
{
	*locked = get_relname_relid(others[other].name, known_schema);
	return !OidIsValid(*locked) || ConditionalLockRelationOid(*locked, others[other].mode);
}

/*
 * Lock the table of requests until the transaction ends, also when it has just been made
 * anew.  What is known of the outbox afterwards, by its generation, is of this table.
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
 * Lock the outbox's tables and views until the transaction ends, all or none: one that has
 * locked some and waits for another would end in a deadlock with DROP EXTENSION, which locks
 * one after another, in the order that pg_depend happens to have.  Decided against: a lock on
 * the extension, which DROP takes first, for any role may hold that, by
 * ALTER FUNCTION ... DEPENDS ON EXTENSION.
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
		/* Let go of all, wait for that one, and begin again. */
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
 * Compare two versions, numbers with dots between: less than 0 where a is the
 * older one.  What is no number counts as newer than any.
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

/* Compare the versions of tables and library; as flex_outbox_tables_fit(). */
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
 * True when this library was made for the outbox's tables.  With a level, raises or
 * logs 55000 where it was not.  Without the extension there is nothing to log.
 *
 * The table is locked before the version is read, so that an upgrade that changes
 * it comes before or after the caller's transaction, and not in the middle.
 */
bool
flex_outbox_tables_fit(int level)
{
	LockRelationOid(flex_outbox_table(), RowExclusiveLock);
	return versions_fit(level);
}

/* The same at this moment, for those who only tell: without a lock on the table. */
bool
flex_outbox_tables_are_known(void)
{
	return versions_fit(0);
}

/* The owner of the outbox's table, with whose rights it is used. */
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

/* Give a parameter a value until flex_outbox_leave(). */
static void
set_parameter(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Take the owner's rights to put a row in: it costs less.  The caller's
 * search_path stays, so that nothing may be run that looks a name up, nor any
 * function that is not the server's own.
 */
void
flex_outbox_enter_to_insert(OutboxAccess *access)
{
	Oid owner = owner_of_outbox();

	GetUserIdAndSecContext(&access->user, &access->security);
	access->nest_level = NewGUCNestLevel();
	/* The table's trigger for replicas is not meant for us. */
	if (SessionReplicationRole != SESSION_REPLICATION_ROLE_ORIGIN)
		set_parameter("session_replication_role", "origin");
	SetUserIdAndSecContext(owner, access->security | SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * Take the rights of the outbox's owner, with no name to be found but the
 * server's own.  An error's clean-up gives them back; otherwise
 * flex_outbox_leave() must, in the same transaction.
 */
void
flex_outbox_enter(OutboxAccess *access)
{
	static const char *const off[] = {
		/* Plans are made once, when the table may be empty: they must be those for a full one. */
		"enable_seqscan", "enable_bitmapscan", "enable_mergejoin", "enable_hashjoin", "jit",
	};

	flex_outbox_enter_to_insert(access);
	set_parameter("search_path", "pg_catalog, pg_temp");
	for (size_t i = 0; i < lengthof(off); i++)
		set_parameter(off[i], "off");
}

/* Give the owner's rights back. */
void
flex_outbox_leave(OutboxAccess *access)
{
	AtEOXact_GUC(true, access->nest_level);
	SetUserIdAndSecContext(access->user, access->security);
}
