/*
 * prepared.c
 *		Requests in transactions that are prepared for a two-phase commit.
 *
 * Nobody need tell us that such a transaction has been committed: what a subscription
 * applies is no statement, and passes no hook.  So the worker looks again and again
 * while there is one.  Those that were prepared since are announced by shared/registry.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "outbox/prepared.h"
#include "shared/registry.h"

/* True when a transaction is prepared in this database that was so at a time. */
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
 * True while a prepared transaction may hold requests.  To be asked in the worker's
 * transaction before it looks for what is due, so that the last look comes after the
 * last of them.
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
