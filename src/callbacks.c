/*
 * callbacks.c
 *		The functions that are called when a request has ended.
 *
 * A callback runs with the rights of the role that enqueued the request, and
 * nothing it does may outlive them: as in maintenance commands, it cannot leave
 * temporary objects or held cursors behind, and constraints are checked at once
 * rather than at the commit, which has our rights.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "callbacks.h"
#include "settings.h"
#include "versions.h"

#define CANCEL_AGAIN_MS 1000 /* for a callback that catches the first cancel */
#define MOST_CANCELS 3       /* then the process has to go: nothing can catch that */

static volatile sig_atomic_t timed_out; /* how many times */

/* The callback has had its time: cancel it.  Runs in a signal handler. */
static void
cancel_callback(void)
{
	timed_out++;
	if (timed_out >= MOST_CANCELS)
		ProcDiePending = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

static TimeoutId
callback_timeout(void)
{
	static TimeoutId id = MAX_TIMEOUTS;

	if (id == MAX_TIMEOUTS)
		id = RegisterTimeout(USER_TIMEOUT, cancel_callback);
	return id;
}

/* Check constraints at once, for the rest of the transaction. */
static void
make_constraints_immediate(void)
{
	ConstraintsSetStmt *statement = makeNode(ConstraintsSetStmt);

	statement->constraints = NIL;
	statement->deferred = false;
	AfterTriggerSetState(statement);
}

/* Call the function with the row. */
static void
call(const Callback *callback)
{
	char *sql = psprintf("SELECT %s($1)", callback->function);
	Oid types[1] = {callback->row_type};
	Datum values[1] = {callback->row};
	int result = SPI_execute_with_args(sql, 1, types, values, NULL, false, 0);

	if (result < 0)
		elog(ERROR, "could not call %s: %s", callback->function, SPI_result_code_string(result));
}

pg_noreturn static void
raise_timeout(const Callback *callback)
{
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("callback %s ran longer than flex_api.callback_timeout", callback->function)));
}

/* Call it within its time. */
static void
call_in_time(const Callback *callback)
{
	TimeoutId id = callback_timeout();
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), flex_settings.callback_timeout);

	timed_out = 0;
	enable_timeout_every(id, deadline, CANCEL_AGAIN_MS);
	PG_TRY();
	{
		call(callback);
		CHECK_FOR_INTERRUPTS();
	}
	PG_CATCH();
	{
		disable_timeout(id, false);
		if (timed_out == 0)
			PG_RE_THROW();
		QueryCancelPending = false;
		FlushErrorState();
		raise_timeout(callback);
	}
	PG_END_TRY();
	disable_timeout(id, false);
	/* It has caught the cancel, and then come to an end. */
	if (timed_out > 0)
		raise_timeout(callback);
}

/*
 * Names are looked up in the function's own schema, then in public: who happens
 * to run the callback must have no say in what it finds.
 */
static void
set_search_path(const char *function)
{
	List *names = textToQualifiedNameList(cstring_to_text(function));
	char *path = psprintf("%s, public, pg_temp", quote_identifier(strVal(linitial(names))));

	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Run a callback as its role. */
static void
run(const Callback *callback)
{
	Oid user;
	int security;
	int nest_level;

	if (callback->function == NULL)
		return;
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(callback->role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the role that enqueued the request does not exist")));
	make_constraints_immediate();
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(callback->role, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	set_search_path(callback->function);
	call_in_time(callback);
	/* What the callback has set is its own. */
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, security);
}

/* True when an error is a cancel that was meant for us, and not a callback's own. */
static bool
is_true_cancel(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->funcname != NULL &&
		   strcmp(error->funcname, "ProcessInterrupts") == 0;
}

/*
 * Run a callback in a subtransaction.  Returns NULL, or its error after undoing
 * what it did; a cancel is raised.  The caller has connected to SPI.
 */
ErrorData *
flex_callback_run(const Callback *callback)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		run(callback);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && is_true_cancel(error))
		ReThrowError(error);
	return error;
}
