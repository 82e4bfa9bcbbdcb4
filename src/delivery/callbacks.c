/*
 * callbacks.c
 *		Runs the callbacks that are due, a transaction each.
 *
 * A callback is claimed first, and counted: one that kills its process must not
 * be the first again.  Then it runs in the transaction that settles its request,
 * so that both are done, or none.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/backoff.h"
#include "base/encoding.h"
#include "delivery/callbacks.h"
#include "delivery/guarded_call.h"
#include "outbox/callback_rows.h"
#include "outbox/settling.h"

#define SHOWN_BYTES 1000 /* of its error */

/* True when a callback may be due. */
bool
flex_callbacks_may_be_due(const Callbacks *callbacks)
{
	return callbacks->expected || (callbacks->next_at != 0 && callbacks->next_at <= GetCurrentTimestamp());
}

/* Report a callback's error, and note when it is to be tried again. */
static void
fail(const Callback *callback, const ErrorData *error)
{
	bool give_up = callback->attempts >= FLEX_CALLBACK_ATTEMPTS;
	int64 delay = flex_backoff_ms(BACKOFF_CALLBACK, callback->attempts - 1);
	const char *said = error->message != NULL ? error->message : "missing error text";
	char *message = flex_text_clip(said, SHOWN_BYTES);

	ereport(WARNING, (errcode(error->sqlerrcode),
					  errmsg("callback of request " INT64_FORMAT " of the Flex API outbox failed", callback->id),
					  give_up ? errdetail("It is not tried again.") : 0, errdetail_log("%s", message)));
	flex_outbox_fail_callback(callback, message,
							  give_up ? 0 : TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay));
}

/* Run a callback that was claimed, in the transaction that settles its request. */
static void
run_claimed(Transaction *transaction, Callback *callback)
{
	ErrorData *error;

	flex_transaction_begin(transaction);
	if (flex_outbox_settle_callback(callback))
	{
		flex_outbox_leave(&transaction->access);
		error = flex_guarded_call(callback);
		flex_outbox_enter(&transaction->access);
		if (error != NULL)
			fail(callback, error);
		/* Its state is news the first time only. */
		if (error == NULL || callback->attempts == 1)
			flex_outbox_notify(callback->id, callback->state);
	}
	flex_transaction_commit(transaction);
}

/* Claim the next callback that is due; false when none is. */
static bool
claim_next(Callbacks *callbacks, Callback *callback)
{
	bool claimed;

	flex_transaction_begin(callbacks->transaction);
	claimed = flex_outbox_claim_callback(callback);
	if (!claimed)
		callbacks->next_at = flex_outbox_next_callback();
	flex_transaction_commit(callbacks->transaction);
	return claimed;
}

/* Run the next callback that is due; false when none is. */
bool
flex_callbacks_run_next(Callbacks *callbacks)
{
	Callback callback;

	if (!claim_next(callbacks, &callback))
	{
		callbacks->expected = false;
		return false;
	}
	run_claimed(callbacks->transaction, &callback);
	return true;
}
