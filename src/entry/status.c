/*
 * status.c
 *		SQL entry point behind the view flex_outbox_status.
 *
 * It tells which process sends the requests of the outbox, or why none does.  It has no side
 * effects: no request is sent, an error of the credentials is shown and not raised, and no
 * secret is shown.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/attempt.h"
#include "base/compat.h"
#include "base/settings.h"
#include "entry/declaration.h"
#include "http/endpoint.h"
#include "outbox/access.h"
#include "shared/registry.h"

PG_FUNCTION_INFO_V1(flex_api_outbox_sender);

enum
{
	COLUMN_WORKER_PID,
	COLUMN_WORKER_SINCE,
	COLUMN_DELIVERY,
	COLUMN_EXPLANATION,
	COLUMN_CREDENTIALS,
	COLUMNS
};

/* Explain why no worker sends in this database, and what to do about it; NULL if one does. */
static const char *
explain_delivery(pid_t worker)
{
	if (RecoveryInProgress())
		return "This server is a standby: the primary sends.";
	if (!flex_settings.delivery)
		return "Delivery is paused: set flex_api.delivery to on, and reload.";
	if (!flex_outbox_tables_are_known())
		return "The tables are of another version than the library: use ALTER EXTENSION flex_api UPDATE, "
			   "or restart the server.";
	if (!flex_registry_exists())
		return "There is no worker: add flex_api to shared_preload_libraries and restart, or schedule CALL "
			   "flex_outbox_drain().";
	if (worker == 0 && flex_registry_is_crowded_out(MyDatabaseId))
		return "No background worker slot is free, databases take turns in the slots that the outbox has: raise "
			   "max_worker_processes.";
	if (worker == 0)
		return "The worker is not running: if it stays so, the server's log says why; "
			   "often max_worker_processes is too small.";
	return NULL;
}

/*
 * For flex_attempt(): set *argument to a description of the credentials that requests of the
 * current role use.  Raises 55000 if there are none.
 */
static void
find_credentials(void *argument)
{
	MemoryContext before = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(before, "flex_api status", ALLOCSET_SMALL_SIZES);
	const char *made_as;

	MemoryContextSwitchTo(context);
	made_as = flex_endpoint_made_as(flex_endpoint_of_settings(GetUserId(), NULL, true));
	MemoryContextSwitchTo(before);
	*(char **) argument = pstrdup(made_as);
	/* The endpoint's reset callback erases the secret. */
	MemoryContextDelete(context);
}

/* Return that description, or the message and hint of the error, which say where credentials were looked for. */
static char *
describe_credentials(void)
{
	char *text = NULL;
	const ErrorData *error = flex_attempt(find_credentials, &text);

	if (error == NULL)
		return text;
	return psprintf("none: %s%s%s", error->message, error->hint != NULL ? ". " : "",
					error->hint != NULL ? error->hint : "");
}

/* flex_outbox_sender(): one row. */
PGDLLEXPORT Datum
flex_api_outbox_sender(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {.count = 0};
	static const Oid types[COLUMNS] = {INT4OID, TIMESTAMPTZOID, BOOLOID, TEXTOID, TEXTOID};
	Datum values[COLUMNS] = {0};
	bool nulls[COLUMNS] = {false};
	TupleDesc desc;
	TimestampTz since = 0;
	pid_t worker;
	const char *explanation;

	flex_declaration_check(fcinfo, &entry);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	flex_declaration_check_row(desc, types, COLUMNS);
	worker = flex_registry_exists() ? flex_registry_worker_since(MyDatabaseId, &since) : 0;
	explanation = explain_delivery(worker);
	values[COLUMN_WORKER_PID] = Int32GetDatum(worker);
	nulls[COLUMN_WORKER_PID] = worker == 0;
	values[COLUMN_WORKER_SINCE] = TimestampTzGetDatum(since);
	nulls[COLUMN_WORKER_SINCE] = worker == 0;
	values[COLUMN_DELIVERY] = BoolGetDatum(flex_settings.delivery);
	nulls[COLUMN_EXPLANATION] = explanation == NULL;
	if (explanation != NULL)
		values[COLUMN_EXPLANATION] = CStringGetTextDatum(explanation);
	values[COLUMN_CREDENTIALS] = CStringGetTextDatum(describe_credentials());
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
