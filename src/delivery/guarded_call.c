/*
 * guarded_call.c
 *		Calls a callback as its role, in its time, and catches its errors.
 *
 * A callback runs in a session of the role that enqueued the request, for all it
 * can see, and nothing it does may outlive its rights: as in maintenance commands,
 * it cannot leave temporary objects or held cursors behind, and constraints are
 * checked at once rather than at the commit, which has our rights.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "base/compat.h"
#include "base/effective.h"
#include "base/errors.h"
#include "base/settings.h"
#include "delivery/guarded_call.h"
#include "outbox/access.h"
#include "outbox/callback_function.h"
#include "shared/shutdown.h"

#define CANCEL_AGAIN_MS 1000 /* for a callback that catches the first cancel */
#define MOST_CANCELS 3       /* then the process has to go: nothing can catch that */

static TimeoutId time_limit = MAX_TIMEOUTS;
static TimeoutId shutdown_check = MAX_TIMEOUTS;
static volatile sig_atomic_t timed_out;  /* the callback has had its time */
static volatile sig_atomic_t cancels;    /* how many times it has been cancelled for that, or for a shutdown */
static volatile sig_atomic_t is_running; /* a callback, or the commit of what it has done */
static bool is_committing;               /* what a callback has done, and others may still refuse */

/* Cancel the callback.  Runs in a signal handler. */
static void
cancel_callback(void)
{
	cancels++;
	if (cancels >= MOST_CANCELS)
		ProcDiePending = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/* Its time is over.  Runs in a signal handler. */
static void
end_time(void)
{
	timed_out = true;
	cancel_callback();
}

/*
 * A sender's SIGTERM is a cancel, which the callback may have caught.  A process of
 * callbacks lets the callback go on for a while, then ends.  Runs in a signal handler.
 */
static void
look_for_shutdown(void)
{
	if (ShutdownRequestPending)
		cancel_callback();
	else if (flex_shutdown_is_asked() && flex_shutdown_grace_ms(PG_INT32_MAX) == 0)
	{
		ProcDiePending = true;
		InterruptPending = true;
		SetLatch(MyLatch);
	}
}

static void
stop_timeouts(void)
{
	disable_timeout(time_limit, false);
	disable_timeout(shutdown_check, false);
}

/* It has come to its end; a last cancel may have come too late for it. */
static void
note_end_in_time(void)
{
	disable_timeout(time_limit, false);
	if (timed_out)
		QueryCancelPending = false;
}

/*
 * All others have agreed to the commit, and the rest of it is the server's own.  Called
 * last, for a module that a callback has loaded has come later.  A shutdown is still
 * looked for: the commit may wait for a standby.
 */
static void
end_time_of_commit(XactEvent event, void *argument)
{
	if (event != XACT_EVENT_PRE_COMMIT || !is_committing)
		return;
	is_committing = false;
	note_end_in_time();
}

/* Cancel what runs from now on at its deadline, and when the process has to stop. */
static void
start_timeouts(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (time_limit == MAX_TIMEOUTS)
	{
		time_limit = RegisterTimeout(USER_TIMEOUT, end_time);
		shutdown_check = RegisterTimeout(USER_TIMEOUT, look_for_shutdown);
		RegisterXactCallback(end_time_of_commit, NULL);
	}
	timed_out = false;
	cancels = 0;
	enable_timeout_every(time_limit, TimestampTzPlusMilliseconds(now, flex_settings.callback_timeout), CANCEL_AGAIN_MS);
	enable_timeout_every(shutdown_check, TimestampTzPlusMilliseconds(now, CANCEL_AGAIN_MS), CANCEL_AGAIN_MS);
}

/*
 * The callback's function, of which *row_type is the argument.  It is locked, so that the
 * one whose owner was looked at is the one that is called.
 */
static void
find_function(const Callback *callback, Oid *row_type)
{
	List *names = textToQualifiedNameList(cstring_to_text(callback->function));
	Oid function = flex_callback_function_find(names, row_type);
	Oid locked = InvalidOid;

	while (OidIsValid(function) && function != locked)
	{
		LockDatabaseObject(ProcedureRelationId, function, 0, AccessShareLock);
		locked = function;
		function = flex_callback_function_find(names, row_type);
	}
	if (!OidIsValid(function))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("function %s does not exist", func_signature_string(names, 1, NIL, row_type))));
	flex_callback_function_check_owner(callback->function, function, callback->owner, callback->role);
}

/* Call the function with the row.  What it returns, however large, is not kept. */
static void
call(const Callback *callback, Oid row_type)
{
	char *sql = psprintf("SELECT %s($1::%s)", callback->function, format_type_be_qualified(row_type));
	ParamListInfo row = makeParamList(1);
	SPIExecuteOptions options = {.params = row, .dest = None_Receiver};
	int result;

	row->params[0] = (ParamExternData){.value = callback->row, .ptype = callback->row_type};
	result = SPI_execute_extended(sql, &options);

	if (result < 0)
		elog(ERROR, "could not call %s: %s", callback->function, SPI_result_code_string(result));
}

/* Have an error say that the callback has had its time, if it has. */
static void
blame_timeout(ErrorData *error, const Callback *callback)
{
	if (!timed_out)
		return;
	QueryCancelPending = false;
	error->sqlerrcode = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	error->message = psprintf("callback %s ran longer than flex_api.callback_timeout", callback->function);
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
	Oid row_type;
	int security;
	int nest_level;

	if (callback->function == NULL)
		return;
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(callback->role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the role that enqueued the request does not exist")));
	if (callback->attempts > FLEX_CALLBACK_ATTEMPTS)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("callback %s has never finished: its process ended each time", callback->function)));
	flex_transaction_check_at_once();
	GetUserIdAndSecContext(&user, &security);
	SetSessionAuthorization(callback->role, superuser_arg(callback->role));
	/* The role that SET ROLE or the database's settings have given the sender is not the callback's. */
	SetCurrentRoleId(InvalidOid, false);
	SetUserIdAndSecContext(callback->role, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	set_search_path(callback->function);
	find_function(callback, &row_type);
	call(callback, row_type);
	CHECK_FOR_INTERRUPTS();
	/* It has caught the cancel, and then come to an end: the error is that of its time. */
	if (timed_out)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("callback %s was cancelled", callback->function)));
	/* What the callback has set is its own. */
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, security);
	if (!OidIsValid(flex_outbox_schema(true)))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("callback %s has removed the outbox", callback->function)));
}

/* True when the last callback had to be cancelled at its deadline. */
bool
flex_guarded_call_timed_out(void)
{
	return timed_out;
}

/* True while a callback runs. */
bool
flex_guarded_call_is_running(void)
{
	return is_running;
}

/* True when it has caught so many cancels that its process ends. */
bool
flex_guarded_call_was_stubborn(void)
{
	return timed_out && cancels >= MOST_CANCELS;
}

/* Run a callback in a subtransaction.  Returns NULL, or its error after undoing what it did. */
static ErrorData *
call_in_subtransaction(const Callback *callback)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	start_timeouts();
	PG_TRY();
	{
		run(callback);
		/* A foreign server has a word in this, too. */
		ReleaseCurrentSubTransaction();
		note_end_in_time();
		stop_timeouts();
	}
	PG_CATCH();
	{
		stop_timeouts();
		MemoryContextSwitchTo(context);
		error = flex_error_take();
		blame_timeout(error, callback);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/*
 * Run a callback.  Returns NULL, or its error after undoing what it did.  The caller
 * has connected to SPI, and is in no function with rights of its own.
 */
ErrorData *
flex_guarded_call(const Callback *callback)
{
	Oid session_user = GetSessionUserId();
	/*
	 * Both are asked of the catalog now: after an error it may not be read.  GetSessionUserIsSuperuser()
	 * came with minor releases (15.9, 16.5, 17.1), and a library that needs it is not loaded by earlier ones.
	 */
	bool session_has_superuser = superuser_arg(session_user);
	Oid set_role = GetCurrentRoleId(); /* by SET ROLE; InvalidOid: none */
	bool set_role_has_superuser = OidIsValid(set_role) && superuser_arg(set_role);
	CommandDest destination = whereToSendOutput;
	ErrorData *volatile error = NULL;
	Oid user;
	int security;

	GetUserIdAndSecContext(&user, &security);
	Assert(security == 0);
	PG_TRY();
	{
		is_running = true;
		/* What it has to say is for the log, and not for the session that happens to drain. */
		whereToSendOutput = DestNone;
		flex_effective_act_for_another(true);
		error = call_in_subtransaction(callback);
	}
	PG_FINALLY();
	{
		is_running = false;
		whereToSendOutput = destination;
		flex_effective_act_for_another(false);
		SetSessionAuthorization(session_user, session_has_superuser);
		if (OidIsValid(set_role))
			SetCurrentRoleId(set_role, set_role_has_superuser);
		SetUserIdAndSecContext(user, security);
	}
	PG_END_TRY();
	return error;
}

/* The error of a commit, in memory that outlasts the transaction, which is undone. */
static ErrorData *
take_error_of_commit(Transaction *transaction, const Callback *callback)
{
	ErrorData *error;

	is_committing = false;
	stop_timeouts();
	MemoryContextSwitchTo(transaction->outside);
	error = flex_error_take();
	blame_timeout(error, callback);
	flex_transaction_roll_back(transaction);
	return error;
}

/*
 * Commit after a callback, within its time.  Returns NULL, or the error after undoing
 * the transaction.
 */
ErrorData *
flex_guarded_commit(Transaction *transaction, const Callback *callback)
{
	bool call_timed_out = timed_out;
	ErrorData *volatile error = NULL;

	is_running = true;
	is_committing = true;
	start_timeouts();
	PG_TRY();
	{
		flex_transaction_commit(transaction);
	}
	PG_CATCH();
	{
		error = take_error_of_commit(transaction, callback);
	}
	PG_END_TRY();
	disable_timeout(shutdown_check, false);
	is_running = false;
	timed_out |= call_timed_out;
	return error;
}
