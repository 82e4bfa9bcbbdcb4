/*
 * guarded_call.c
 *		Calls a callback with the rights of its role, limits its time, and catches its errors.
 *
 * To the callback it looks as if it ran in a session of the role that enqueued the request.
 * Nothing that it leaves behind may be executed with our rights: as in maintenance commands
 * (SECURITY_RESTRICTED_OPERATION), it cannot create temporary objects or held cursors, and
 * constraints are checked at once rather than at the commit, which has our rights.
 *
 * After flex_api.callback_timeout the callback is cancelled.  It may catch that, so it is
 * cancelled again; after MOST_CANCELS the process is terminated.
 *
 * A cancel by somebody else, such as a user's of the session that drains, is for the process,
 * not for the callback.  The server does not tell such a cancel from ours, and the callback may
 * catch it, so it is noted in the signal handler, and raised when the callback has ended.
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

#define CANCEL_AGAIN_MS 1000 /* between two cancels of a callback that catches them */
#define MOST_CANCELS 3       /* the last one terminates the process, which no callback can catch */

static TimeoutId time_limit = MAX_TIMEOUTS;
static TimeoutId shutdown_check = MAX_TIMEOUTS;
static volatile sig_atomic_t timed_out;    /* the last callback exceeded its time */
static volatile sig_atomic_t cancels;      /* how many times it has been cancelled for that, or for a shutdown */
static volatile sig_atomic_t is_running;   /* a callback, or the commit after it, is running */
static volatile sig_atomic_t is_cancelled; /* somebody else has cancelled the process, and no error has told that */
static bool is_committing;                 /* the commit after a callback has begun, and can still fail */

/* Cancel the callback, or terminate the process if that has not helped.  Runs in a signal handler. */
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

/* Timeout handler: the callback has exceeded its time.  Runs in a signal handler. */
static void
end_time(void)
{
	timed_out = true;
	cancel_callback();
}

/*
 * Timeout handler: check periodically whether the process has been told to stop.  In a
 * sender, SIGTERM cancels the callback, which may have caught that; so cancel it again.  A
 * callback process terminates when flex_api.shutdown_grace is over.  Runs in a signal handler.
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

/* SIGINT handler while a callback or its commit runs: cancel as usual, and note that it was not us. */
static void
handle_cancel(SIGNAL_ARGS)
{
	int save_errno = errno;

	/* The server sends this signal for lock_timeout, too, and that one is for the callback. */
	if (!get_timeout_indicator(LOCK_TIMEOUT, false))
		is_cancelled = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

/* From now on note when somebody else cancels the process. */
static void
watch_cancels(void)
{
	is_cancelled = false;
	pqsignal(SIGINT, handle_cancel);
	if (QueryCancelPending)
		is_cancelled = true;
}

/* End that, and have a cancel that was not raised yet raised at the next check for interrupts. */
static void
pass_cancel_on(void)
{
	pqsignal(SIGINT, StatementCancelHandler);
	if (!is_cancelled)
		return;
	is_cancelled = false;
	QueryCancelPending = true;
	InterruptPending = true;
}

static void
stop_timeouts(void)
{
	disable_timeout(time_limit, false);
	disable_timeout(shutdown_check, false);
}

/* Drop our own cancel, which came too late for the callback or whose error has been caught; keep another's. */
static void
drop_own_cancel(void)
{
	QueryCancelPending = false;
	/* This order: a signal that comes between the two lines sets both flags. */
	if (is_cancelled)
		QueryCancelPending = InterruptPending = true;
}

/* The callback has ended: stop its time limit. */
static void
note_end_in_time(void)
{
	disable_timeout(time_limit, false);
	if (timed_out)
		drop_own_cancel();
}

/*
 * Transaction callback: all other modules have agreed to the commit, so its time limit ends.
 * Callbacks registered later are called earlier, so modules that connect to a foreign server
 * only after this library was loaded have been asked before.  The check for a shutdown goes on,
 * because the commit may wait for a standby.
 */
static void
end_time_of_commit(XactEvent event, void *argument)
{
	if (event != XACT_EVENT_PRE_COMMIT || !is_committing)
		return;
	is_committing = false;
	note_end_in_time();
}

/* When the library is loaded: register the transaction callback, as early as possible (end_time_of_commit()). */
void
flex_guarded_call_register(void)
{
	RegisterXactCallback(end_time_of_commit, NULL);
}

/* Start the time limit of a callback or of its commit, and the check for a shutdown. */
static void
start_timeouts(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (time_limit == MAX_TIMEOUTS)
	{
		time_limit = RegisterTimeout(USER_TIMEOUT, end_time);
		shutdown_check = RegisterTimeout(USER_TIMEOUT, look_for_shutdown);
	}
	timed_out = false;
	cancels = 0;
	enable_timeout_every(time_limit, TimestampTzPlusMilliseconds(now, flex_settings.callback_timeout), CANCEL_AGAIN_MS);
	enable_timeout_every(shutdown_check, TimestampTzPlusMilliseconds(now, CANCEL_AGAIN_MS), CANCEL_AGAIN_MS);
}

/*
 * Find and lock the callback's function, and check its owner.  Set *row_type to the type of
 * its argument.  The lock makes sure that the function called is the one whose owner was
 * checked; as in RangeVarGetRelid(), repeat the lookup until it agrees with what is locked.
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

/* Call the function with the request's row, and discard its result. */
static void
call_function(const Callback *callback, Oid row_type)
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

/* If the callback exceeded its time, make its error say so.  An error that tells of a cancel is raised no second time. */
static void
blame_timeout(ErrorData *error, const Callback *callback)
{
	if (!timed_out)
	{
		if (flex_error_is_cancel(error))
			is_cancelled = false;
		return;
	}
	drop_own_cancel();
	error->sqlerrcode = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	error->message = psprintf("callback %s ran longer than flex_api.callback_timeout", callback->function);
}

/*
 * Set search_path to the function's own schema and public, so that it does not depend on the
 * session in which the callback happens to run.
 */
static void
set_search_path(const char *function)
{
	List *names = textToQualifiedNameList(cstring_to_text(function));
	char *path = psprintf("%s, public, pg_temp", quote_identifier(strVal(linitial(names))));

	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Call a callback as its role.  On success, the current user and the settings are restored
 * here; the session user, and everything after an error, by flex_guarded_call() and the
 * subtransaction's abort.
 */
static void
call_as_role(const Callback *callback)
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
	/* A SET ROLE in the sender's session must not apply to the callback. */
	SetCurrentRoleId(InvalidOid, false);
	SetUserIdAndSecContext(callback->role, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	set_search_path(callback->function);
	find_function(callback, &row_type);
	call_function(callback, row_type);
	CHECK_FOR_INTERRUPTS();
	/* The callback caught the cancel and then returned; blame_timeout() replaces the message. */
	if (timed_out)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("callback %s was cancelled", callback->function)));
	/* Undo the settings that the callback has made. */
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, security);
	if (!OidIsValid(flex_outbox_schema(true)))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("callback %s has removed the outbox", callback->function)));
}

/* Return true if the last callback exceeded its time. */
bool
flex_guarded_call_timed_out(void)
{
	return timed_out;
}

/* Return true while a callback, or the commit after it, is running. */
bool
flex_guarded_call_is_running(void)
{
	return is_running;
}

/* Return true if the callback exceeded its time and caught so many cancels that the process is terminated. */
bool
flex_guarded_call_was_stubborn(void)
{
	return timed_out && cancels >= MOST_CANCELS;
}

/* Call a callback in a subtransaction.  Return NULL, or the error after rolling the subtransaction back. */
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
		call_as_role(callback);
		/* Still within the time limit: postgres_fdw, for one, sends a command to the foreign server here. */
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
 * Call a callback.  Return NULL, or its error, in the current memory context, after undoing
 * what it did.  The caller must have connected to SPI, and have left the outbox's rights.
 */
ErrorData *
flex_guarded_call(const Callback *callback)
{
	Oid session_user = GetSessionUserId();
	/*
	 * Read these from the catalog now, because that is not possible after an error.  GetSessionUserIsSuperuser()
	 * exists only since 15.9, 16.5 and 17.1; earlier minor releases could not load a library that needs it.
	 */
	bool session_has_superuser = superuser_arg(session_user);
	Oid set_role = GetCurrentRoleId(); /* InvalidOid if there was no SET ROLE */
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
		watch_cancels();
		/* Its messages go to the log only, not to the client of the session that happens to drain. */
		whereToSendOutput = DestNone;
		flex_effective_act_for_another(true);
		error = call_in_subtransaction(callback);
	}
	PG_FINALLY();
	{
		is_running = false;
		pass_cancel_on();
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

/*
 * From a PG_CATCH(): roll the transaction back, and return the error, in the context that
 * outlives the transaction.
 */
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
 * Commit the transaction of a callback, with a time limit as for the callback itself.  Return
 * NULL, or the error after rolling the transaction back.
 */
ErrorData *
flex_guarded_commit(Transaction *transaction, const Callback *callback)
{
	bool call_timed_out = timed_out;
	ErrorData *volatile error = NULL;

	is_running = true;
	is_committing = true;
	watch_cancels();
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
	pass_cancel_on();
	is_running = false;
	timed_out |= call_timed_out;
	return error;
}
