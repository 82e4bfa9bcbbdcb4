/*
 * replica_triggers.c
 *		Checks that the triggers which discard rows of logical replication still fire.
 *
 * Each table of the outbox has a trigger that is enabled for replicas only.  ALTER TABLE ... ENABLE
 * TRIGGER USER or ALL, which pg_restore --disable-triggers uses, enables it for ordinary sessions
 * instead, where it has no effect.  Then a subscription would insert the publisher's requests.  Only
 * a warning says so: to enable the trigger again takes a lock for which a sender must not wait.
 *
 * The caller must have connected to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "outbox/access.h"
#include "outbox/refusals.h"
#include "outbox/replica_triggers.h"
#include "outbox/statements.h"

#define TRIGGER_NAME "flex_outbox_refuse_replica"

/* The outbox's tables whose triggers do not fire for logical replication, by their names. */
static Statement find_open = {
	.sql =
		"SELECT string_agg(quote_ident(c.relname), ', ' ORDER BY c.relname) "
		"FROM pg_class AS c JOIN pg_trigger AS t ON t.tgrelid = c.oid "
		"WHERE c.relnamespace = $1 AND starts_with(c.relname::text, 'flex_outbox_') AND t.tgname = '" TRIGGER_NAME "' "
		"AND t.tgenabled NOT IN ('R', 'A') AND EXISTS (SELECT FROM pg_depend AS d "
		"WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e') "
		"HAVING count(*) > 0",
	.types = {OIDOID},
};

/* Warn, once a minute at most, of tables into which a subscription would insert a publisher's rows. */
void
flex_replica_triggers_check(void)
{
	Datum values[] = {ObjectIdGetDatum(flex_outbox_schema(false))};

	if (flex_statement_execute(&find_open, values, NULL) == 0 ||
		!flex_refusals_may_warn(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, TRIGGER_NAME))
		return;
	ereport(WARNING, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					  errmsg("tables of the Flex API outbox do not discard rows of logical replication"),
					  errdetail("Tables: %s.", TextDatumGetCString(flex_statement_value(0, 1))),
					  errhint("For each of them, use ALTER TABLE ... ENABLE REPLICA TRIGGER " TRIGGER_NAME ".")));
}
