/*
 * drain.c
 *		SQL entry point of flex_outbox_drain(): a sender in any session.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/compat.h"
#include "base/effective.h"
#include "delivery/sender.h"
#include "entry/declaration.h"
#include "request/arguments.h"

PG_FUNCTION_INFO_V1(flex_api_drain);

/*
 * A procedure's transactions are SPI's.  The work of each is done in a
 * subtransaction, for only the end of that takes back, after an error, whatever
 * the statement that failed has left on the stacks of SPI and of snapshots.
 */
static bool connected;
static int level; /* of nesting, outside the subtransaction */
static ResourceOwner owner;

static void
begin_transaction(void)
{
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	connected = true;
	level = GetCurrentTransactionNestLevel();
	owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
}

static void
commit_transaction(void)
{
	ReleaseCurrentSubTransaction();
	CurrentResourceOwner = owner;
	SPI_commit();
	connected = false;
	SPI_finish();
}

/* An error may have come between two transactions, too: then there is nothing to do. */
static void
roll_back_transaction(void)
{
	if (!connected)
		return;
	if (GetCurrentTransactionNestLevel() > level)
	{
		RollbackAndReleaseCurrentSubTransaction();
		CurrentResourceOwner = owner;
	}
	connected = false;
	SPI_rollback();
	SPI_finish();
}

/* The procedure's argument: how many requests to claim at most. */
static int64
max_requests_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		return PG_INT64_MAX;
	if (PG_GETARG_INT64(0) < 0)
		flex_argument_refuse("flex_outbox_drain", "max_requests", psprintf(INT64_FORMAT, PG_GETARG_INT64(0)), false,
							 "a number from 0 on, or NULL for all that is due");
	return PG_GETARG_INT64(0);
}

/* Raise unless the procedure may commit, and sees what others have committed. */
static void
check_transaction(FunctionCallInfo fcinfo)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) || castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("flex_outbox_drain cannot run inside a transaction block"),
						errhint("CALL it as a statement of its own.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("flex_outbox_drain needs transactions of isolation level read committed"),
						errhint("Set default_transaction_isolation to read committed.")));
}

/* Raise when a plain role would send others' requests as, or to where, its session says. */
static void
check_route(void)
{
	const char *name = superuser() ? NULL : flex_effective_route_of_session();

	if (name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the session's value of \"%s\" is not for the requests of other roles", name),
				 errhint("RESET it, or take it out of the role's settings and the connection's options; what all "
						 "requests are to be sent with, set for the server or the database.")));
}

/* CALL flex_outbox_drain(max_requests); see sender.c. */
PGDLLEXPORT Datum
flex_api_drain(PG_FUNCTION_ARGS)
{
	static const Driver driver = {
		.begin = begin_transaction,
		.commit = commit_transaction,
		.roll_back = roll_back_transaction,
	};
	static const EntryPoint entry = {.result = VOIDOID, .count = 1, .types = {INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	int64 max_requests;

	flex_declaration_check(fcinfo, &entry);
	max_requests = max_requests_argument(fcinfo);
	check_transaction(fcinfo);
	flex_effective_check_displaced();
	check_route();
	connected = false;
	context = AllocSetContextCreate(TopMemoryContext, "flex_api drain", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		flex_sender_run(flex_sender_create(&driver, max_requests, false));
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(context);
	}
	PG_END_TRY();
	PG_RETURN_VOID();
}
