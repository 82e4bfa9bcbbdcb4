/*
 * prepared.c
 *		Detection of prepared transactions that may have enqueued requests.
 *
 * Nothing notifies the worker of the COMMIT PREPARED of such a transaction: if the apply worker
 * of a subscription does it, there is no statement and no hook.  So the worker polls while one
 * exists.  shared/registry has the time at which the last of them was prepared.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "outbox/prepared.h"
#include "shared/registry.h"

/* Return true if this database has a prepared transaction that was prepared at the given time or before. */
static bool
was_prepared_by(TimestampTz at)
{
	Oid types[] = {OIDOID, TIMESTAMPTZOID};
	Datum values[] = {ObjectIdGetDatum(MyDatabaseId), TimestampTzGetDatum(at)};

	if (SPI_execute_with_args("SELECT FROM pg_catalog.pg_prepared_xact()"
							  " WHERE dbid OPERATOR(pg_catalog.=) $1 AND prepared OPERATOR(pg_catalog.<=) $2",
							  lengthof(types), types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for prepared transactions");
	return SPI_processed > 0;
}

/*
 * Return true if a prepared transaction may contain requests.  The worker must call this before it
 * looks for due requests, in the same transaction: when this returns false, the search that follows
 * finds the requests of the last such transaction.  The caller must have connected to SPI.
 */
bool
flex_outbox_awaits_prepared(void)
{
	TimestampTz at = flex_registry_prepared_at();

	if (at == 0)
		return false;
	if (was_prepared_by(at))
		return true;
	flex_registry_forget_prepared(at);
	return false;
}
