/*
 * callbacks.c
 *		Runs callbacks, each in a transaction of its own.
 *
 * A callback is claimed first, in a transaction that counts the attempt and sets the time of
 * the next one, so that a callback that kills its process is not the first to be tried again.
 * Then it runs in the transaction that records its end: either both take effect or neither.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/timestamp.h"

#include "base/backoff.h"
#include "base/encoding.h"
#include "base/errors.h"
#include "delivery/callbacks.h"
#include "delivery/guarded_call.h"
#include "outbox/callback_rows.h"
#include "outbox/settled_rows.h"

#define SHOWN_BYTES 1000   /* of the message of an error; the rest is cut off */
#define MOST_LOOKS 20      /* tries to lock a callback's row */
#define LOOK_AGAIN_US 5000 /* between two tries */

/* Return the message of an error, never NULL. */
static const char *
text_of(const ErrorData *error)
{
	return error->message != NULL ? error->message : "missing error text";
}

/*
 * Lock the row of a callback that was claimed, and read it.  Return false if the claim is no
 * longer valid, or the row stays locked.  Another process that looks for callbacks to claim
 * locks it only for a moment, so try several times; a user may keep it locked for long, and is
 * not waited for.
 */
static bool
begin_claimed(Callback *callback)
{
	for (int looks = 1; !flex_outbox_begin_callback(callback); looks++)
	{
		CHECK_FOR_INTERRUPTS();
		if (looks == MOST_LOOKS || !flex_outbox_callback_is_claimed(callback))
			return false;
		pg_usleep(LOOK_AGAIN_US);
	}
	return true;
}

/* Report a callback's error as a WARNING, and record it with the time of the next attempt, if any. */
static void
record_failure(const Callback *callback, int sqlerrcode, const char *said)
{
	bool give_up = callback->attempts >= FLEX_CALLBACK_ATTEMPTS;
	int64 delay = flex_backoff_ms(BACKOFF_CALLBACK, callback->attempts - 1);
	char *message = flex_text_clip(said, SHOWN_BYTES);

	ereport(WARNING, (errcode(sqlerrcode),
					  errmsg("callback of request " INT64_FORMAT " of the Flex API outbox failed", callback->id),
					  give_up ? errdetail("It is not tried again.") : 0, errdetail_log("%s", message),
					  errhint("Its error is in callback_error of flex_outbox.")));
	flex_outbox_fail_callback(callback, message,
							  give_up ? 0 : TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay));
}

/* Notify listeners of the end of the callback's request: after success, and after the first failed attempt only. */
static void
notify_end(const Callback *callback, bool failed)
{
	if (!failed || callback->attempts == 1)
		flex_outbox_notify(callback->id, callback->state);
}

/*
 * In the sender: raise a cancel that ended a callback.  While a callback runs, no messages go to
 * the client of the session (flex_guarded_call()), but it has to get this one.
 */
static void
raise_cancel(ErrorData *cancel)
{
	cancel->output_to_client = whereToSendOutput == DestRemote;
	flex_error_rethrow(cancel);
}

/*
 * Commit the transaction of a callback, which failed with the given error, or NULL.  If the
 * commit fails, as when a foreign server refuses the changes, record that as the callback's
 * error, unless there is one already.  A cancel in the sender is raised (see
 * flex_callbacks_run()).
 */
static void
commit_callback(Transaction *transaction, Callback *callback, const ErrorData *failure, bool is_in_sender)
{
	int sqlerrcode = failure != NULL ? failure->sqlerrcode : 0;
	char *said = failure != NULL ? MemoryContextStrdup(transaction->outside, text_of(failure)) : NULL;
	ErrorData *error = flex_guarded_commit(transaction, callback);

	if (error != NULL && is_in_sender && flex_error_is_cancel(error))
		raise_cancel(error);
	if (error != NULL)
	{
		flex_transaction_begin(transaction);
		if (begin_claimed(callback))
		{
			record_failure(callback, said != NULL ? sqlerrcode : error->sqlerrcode,
						   said != NULL ? said : text_of(error));
			notify_end(callback, true);
		}
		flex_transaction_commit(transaction);
		FreeErrorData(error);
	}
	if (said != NULL)
		pfree(said);
}

/*
 * Run a callback that was claimed, in the transaction that records its end.  Errors of the
 * callback are recorded, not raised.  But if is_in_sender, a cancel is raised: it is meant for
 * the sender, not for the callback that it happens to run.
 */
void
flex_callbacks_run(Transaction *transaction, Callback *callback, bool is_in_sender)
{
	ErrorData *error;

	flex_transaction_begin(transaction);
	if (!begin_claimed(callback))
	{
		flex_transaction_commit(transaction);
		return;
	}
	flex_outbox_leave(&transaction->access);
	error = flex_guarded_call(callback);
	if (error != NULL && is_in_sender && flex_error_is_cancel(error))
		raise_cancel(error);
	flex_outbox_enter(&transaction->access);
	if (error != NULL)
		record_failure(callback, error->sqlerrcode, text_of(error));
	else
		flex_outbox_end_callback(callback);
	notify_end(callback, error != NULL);
	commit_callback(transaction, callback, error, is_in_sender);
}

/* In the sender: record the failure of a callback that did not react to cancels, so that its process was ended. */
void
flex_callbacks_give_up(Transaction *transaction, Callback *callback)
{
	flex_transaction_begin(transaction);
	if (begin_claimed(callback))
	{
		record_failure(
			callback, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
			psprintf("callback %s ran longer than flex_api.callback_timeout, and went on when it was cancelled",
					 callback->function));
		notify_end(callback, true);
	}
	flex_transaction_commit(transaction);
}

/* Claim a role's next due callback, and commit.  Return false if there is none. */
bool
flex_callbacks_claim(Transaction *transaction, Oid role, Callback *callback)
{
	bool claimed;

	flex_transaction_begin(transaction);
	claimed = flex_outbox_tables_fit(0) && flex_outbox_claim_callback(role, callback);
	flex_transaction_commit(transaction);
	return claimed;
}

/* Return when a role's next callback is due; 0 if there is none. */
TimestampTz
flex_callbacks_next_at(Transaction *transaction, Oid role)
{
	TimestampTz next_at;

	flex_transaction_begin(transaction);
	next_at = flex_outbox_next_callback(role);
	flex_transaction_commit(transaction);
	return next_at;
}
