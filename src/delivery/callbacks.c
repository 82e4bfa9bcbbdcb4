/*
 * callbacks.c
 *		Runs callbacks, a transaction each.
 *
 * A callback is claimed first, and counted: one that kills its process must not
 * be the first again.  Then it runs in the transaction that records its end, so that
 * both are done, or none.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/backoff.h"
#include "base/encoding.h"
#include "base/errors.h"
#include "delivery/callbacks.h"
#include "delivery/guarded_call.h"
#include "outbox/callback_rows.h"
#include "outbox/settled_rows.h"

#define SHOWN_BYTES 1000   /* of its error */
#define MOST_LOOKS 20      /* at a callback that is locked */
#define LOOK_AGAIN_US 5000 /* between two of them */

static const char *
text_of(const ErrorData *error)
{
	return error->message != NULL ? error->message : "missing error text";
}

/*
 * Begin with a callback that was claimed.  A process that looks for one to claim may have
 * locked it for a moment; a role that keeps its own locked is not waited for.
 */
static bool
begin(Callback *callback)
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

/* Report a callback's error, and note when it is to be tried again. */
static void
fail(const Callback *callback, int sqlerrcode, const char *said)
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

/* Tell of the end of a callback's request, which is news the first time only. */
static void
tell(const Callback *callback, bool failed)
{
	if (!failed || callback->attempts == 1)
		flex_outbox_notify(callback->id, callback->state);
}

/*
 * Commit after a callback.  That others refuse what it has done, as a foreign server may, is an
 * error of the callback, unless it has failed before; a cancel in the sender is meant for the sender.
 */
static void
commit(Transaction *transaction, Callback *callback, const ErrorData *failure, bool is_in_sender)
{
	int sqlerrcode = failure != NULL ? failure->sqlerrcode : 0;
	char *said = failure != NULL ? MemoryContextStrdup(transaction->outside, text_of(failure)) : NULL;
	ErrorData *error = flex_guarded_commit(transaction, callback);

	if (error != NULL && is_in_sender && flex_error_is_cancel(error))
		flex_error_rethrow(error);
	if (error != NULL)
	{
		flex_transaction_begin(transaction);
		if (begin(callback))
		{
			fail(callback, said != NULL ? sqlerrcode : error->sqlerrcode, said != NULL ? said : text_of(error));
			tell(callback, true);
		}
		flex_transaction_commit(transaction);
		FreeErrorData(error);
	}
	if (said != NULL)
		pfree(said);
}

/*
 * Run a callback that was claimed, in the transaction that records its end.  A
 * cancel in the sender is meant for the sender, and raised.
 */
void
flex_callbacks_run(Transaction *transaction, Callback *callback, bool is_in_sender)
{
	ErrorData *error;

	flex_transaction_begin(transaction);
	if (!begin(callback))
	{
		flex_transaction_commit(transaction);
		return;
	}
	flex_outbox_leave(&transaction->access);
	error = flex_guarded_call(callback);
	if (error != NULL && is_in_sender && flex_error_is_cancel(error))
		flex_error_rethrow(error);
	flex_outbox_enter(&transaction->access);
	if (error != NULL)
		fail(callback, error->sqlerrcode, text_of(error));
	else
		flex_outbox_end_callback(callback);
	tell(callback, error != NULL);
	commit(transaction, callback, error, is_in_sender);
}

/* Record the end of a callback that has run for so long that its process was ended: it has failed. */
void
flex_callbacks_give_up(Transaction *transaction, Callback *callback)
{
	flex_transaction_begin(transaction);
	if (begin(callback))
	{
		fail(callback, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
			 psprintf("callback %s ran longer than flex_api.callback_timeout, and went on when it was cancelled",
					  callback->function));
		tell(callback, true);
	}
	flex_transaction_commit(transaction);
}

/* Claim a role's next callback that is due; false when none is. */
bool
flex_callbacks_claim(Transaction *transaction, Oid role, Callback *callback)
{
	bool claimed;

	flex_transaction_begin(transaction);
	claimed = flex_outbox_tables_fit(0) && flex_outbox_claim_callback(role, callback);
	flex_transaction_commit(transaction);
	return claimed;
}

/* When a role's next callback is due; 0 when there is none. */
TimestampTz
flex_callbacks_next_at(Transaction *transaction, Oid role)
{
	TimestampTz next_at;

	flex_transaction_begin(transaction);
	next_at = flex_outbox_next_callback(role);
	flex_transaction_commit(transaction);
	return next_at;
}
