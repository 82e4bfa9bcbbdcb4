/*
 * sender.c
 *		Sends what is due in the outbox: the engine of worker and drain.
 *
 * In turns: one transaction settles the requests that have been answered and
 * claims others; after its commit the claimed ones are sent; then callbacks run,
 * a transaction each; then it waits, in no transaction.  Who is killed leaves
 * claims behind, which the next sender finds by the dead process's number; who
 * is cancelled settles them himself before he goes.
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "callbacks.h"
#include "clock.h"
#include "housekeeping.h"
#include "limits.h"
#include "poller.h"
#include "roster.h"
#include "sender.h"
#include "settings.h"
#include "settlement.h"
#include "statements.h"
#include "transport.h"

#define HOUSEKEEPING_MS 30000
#define LANES_MS 200        /* a more urgent lane is not seen for so long */
#define CALLBACKS_A_TURN 20 /* then answers that have come are looked at again */

#define CALLBACK_FIRST_MS 1000
#define CALLBACK_MOST_MS (60 * 60 * 1000)
#define CALLBACK_SHOWN_BYTES 1000 /* of its error */

struct Sender
{
	const Transactions *transactions;
	bool is_worker;
	MemoryContext context;
	MemoryContext turn;      /* what a turn needs */
	int64 requests_left;     /* that may still be claimed */
	Batch batch;             /* the requests under way */
	bool must_be_durable;    /* the transaction has claimed requests */
	bool has_callbacks;      /* perhaps */
	TimestampTz due_at;      /* of the next request; 0: there is none */
	TimestampTz tokens_at;   /* when the rate allows a request that is due; 0: none waits for it */
	TimestampTz callback_at; /* of the next callback; 0: there is none */
	Lane *lanes;             /* as they were at lanes_at */
	int lanes_count;
	int64 lanes_at; /* flex_clock_ms(); 0: unknown */
	uint64 holds;   /* flex_outbox_holds() at that time */
	MemoryContext lanes_context;
	int64 cleaned_at; /* flex_clock_ms() of the last housekeeping; 0: never */
};

/* Make a sender; it lives in a context under the current one. */
Sender *
flex_sender_create(const Transactions *transactions, int64 max_requests, bool is_worker)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "flex_api sender", ALLOCSET_DEFAULT_SIZES);
	Sender *sender = MemoryContextAllocZero(context, sizeof(Sender));

	sender->transactions = transactions;
	sender->is_worker = is_worker;
	sender->context = context;
	sender->turn = AllocSetContextCreate(context, "flex_api turn", ALLOCSET_DEFAULT_SIZES);
	sender->lanes_context = AllocSetContextCreate(context, "flex_api lanes", ALLOCSET_DEFAULT_SIZES);
	sender->requests_left = max_requests;
	sender->has_callbacks = true;
	dlist_init(&sender->batch.sendings);
	sender->batch.context = context;
	return sender;
}

/* Begin a transaction with the outbox's rights. */
static void
begin(Sender *sender, OutboxAccess *access)
{
	sender->transactions->begin();
	flex_outbox_pin();
	flex_outbox_enter(access);
	flex_outbox_discard();
	MemoryContextSwitchTo(sender->turn);
}

/*
 * Commit.  A claim that a crash or a failover undoes would be sent twice, so one
 * is not left to an asynchronous commit.
 */
static void
commit(Sender *sender, OutboxAccess *access)
{
	flex_outbox_flush();
	flex_outbox_leave(access);
	if (sender->must_be_durable && synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_WRITE)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
								 false);
	sender->must_be_durable = false;
	sender->transactions->commit();
	MemoryContextSwitchTo(sender->context);
	MemoryContextReset(sender->turn);
}

/* The earlier of two times, where 0 means none. */
static TimestampTz
earlier(TimestampTz a, TimestampTz b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Something is due at that time. */
static void
note_due(Sender *sender, TimestampTz due_at)
{
	sender->due_at = earlier(sender->due_at, due_at);
}

/* Put what was claimed of a lane into the batch. */
static void
add_claims(Sender *sender, const Lane *lane, const Claim *claims, int count)
{
	const Operation *operation = flex_operation_find(lane->operation);
	const Signature *signature =
		operation != NULL ? flex_signature_of_operation(operation, flex_outbox_schema(false)) : NULL;

	for (int i = 0; i < count; i++)
	{
		if (!flex_batch_add(&sender->batch, &claims[i], signature))
			sender->has_callbacks |= claims[i].on_failure;
	}
}

/*
 * Claim requests of a lane, from where the last claim ended: before that, the
 * index has the entries of what was sent, until the next vacuum.  Only when there
 * is nothing more behind, all of it is looked at.
 */
static int
claim_from_last(Sender *sender, Lane *lane, int limit)
{
	int count;
	Claim *claims = flex_outbox_claim(lane, limit, &count);

	if (count == 0 && lane->claim_from != DT_NOBEGIN)
	{
		lane->claim_from = DT_NOBEGIN;
		claims = flex_outbox_claim(lane, limit, &count);
	}
	for (int i = 0; i < count; i++)
		lane->claim_from = Max(lane->claim_from, claims[i].run_at);
	add_claims(sender, lane, claims, count);
	return count;
}

/* Claim what may be sent of a lane, at most room requests.  Returns how many were. */
static int
claim_lane(Sender *sender, Lane *lane, int room)
{
	const Operation *operation = flex_operation_find(lane->operation);
	int granted = operation != NULL ? flex_limits_take(operation, room) : room;
	int count;

	if (granted == 0)
	{
		TimestampTz tokens_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), flex_limits_wait_ms(operation));

		sender->tokens_at = earlier(sender->tokens_at, tokens_at);
		return 0;
	}
	count = claim_from_last(sender, lane, granted);
	if (operation != NULL)
		flex_limits_give_back(operation, granted - count);
	/* There may be more of it. */
	if (count > 0)
		note_due(sender, GetCurrentTimestamp());
	return count;
}

/* Look which lanes there are, unless that was done a moment ago. */
static void
look_at_lanes(Sender *sender)
{
	MemoryContext before;

	if (sender->lanes_at != 0 && flex_clock_ms() - sender->lanes_at < LANES_MS && sender->holds == flex_outbox_holds())
		return;
	MemoryContextReset(sender->lanes_context);
	before = MemoryContextSwitchTo(sender->lanes_context);
	sender->lanes = flex_outbox_lanes(&sender->lanes_count);
	MemoryContextSwitchTo(before);
	sender->lanes_at = flex_clock_ms();
	sender->holds = flex_outbox_holds();
}

/* How many requests may be under way at once: more than there are sockets for would only wait. */
static int
concurrency(void)
{
	return Min(flex_settings.concurrency, flex_poller_capacity());
}

/* Claim what is due, as long as there is room beside what is under way. */
static void
claim_requests(Sender *sender, int under_way)
{
	int room = (int) Min((int64) (concurrency() - under_way), sender->requests_left);
	bool are_fresh = sender->lanes_at == 0;
	TimestampTz now = GetCurrentTimestamp();
	int claimed = 0;

	look_at_lanes(sender);
	sender->due_at = 0;
	sender->tokens_at = 0;
	for (int i = 0; i < sender->lanes_count; i++)
	{
		if (sender->lanes[i].due_at <= now && room > claimed)
			claimed += claim_lane(sender, &sender->lanes[i], room - claimed);
		else
			note_due(sender, sender->lanes[i].due_at);
	}
	sender->requests_left -= claimed;
	sender->must_be_durable = claimed > 0;
	if (claimed > 0)
		return;
	/* What was known of the lanes is used up: look again, at once if it was not new. */
	sender->lanes_at = 0;
	if (!are_fresh)
		note_due(sender, now);
}

/* Take over what is left behind, and delete what is too old. */
static void
clean_up(Sender *sender)
{
	bool is_done = flex_housekeeping_run(sender->batch.count == 0);

	flex_outbox_note_drain(sender->is_worker);
	sender->has_callbacks = true;
	/* When that was not all, the next turn goes on. */
	sender->cleaned_at = is_done ? flex_clock_ms() : 0;
}

/* True when housekeeping is due. */
static bool
must_clean_up(const Sender *sender)
{
	return sender->cleaned_at == 0 || flex_clock_ms() - sender->cleaned_at >= HOUSEKEEPING_MS;
}

/* True when requests are due and it is worth claiming some. */
static bool
may_claim(const Sender *sender)
{
	int room = concurrency() - sender->batch.count;

	return sender->requests_left > 0 && (sender->batch.count == 0 || room >= Max(concurrency() / 4, 1)) &&
		   sender->due_at != 0 && sender->due_at <= GetCurrentTimestamp();
}

/* One transaction: settle what is over, claim what is due. */
static void
settle_and_claim(Sender *sender)
{
	OutboxAccess access;
	int settled;

	begin(sender, &access);
	if (must_clean_up(sender))
		clean_up(sender);
	settled = flex_batch_settle(&sender->batch, false);
	flex_outbox_flush();
	if (sender->requests_left > 0)
		claim_requests(sender, sender->batch.count - settled);
	commit(sender, &access);
	flex_batch_confirm(&sender->batch);
	sender->has_callbacks |= flex_batch_end_settled(&sender->batch, false);
}

/* Report a callback's error, and note when it is to be tried again. */
static void
fail_callback(const Callback *callback, const ErrorData *error)
{
	bool give_up = callback->attempts >= FLEX_CALLBACK_ATTEMPTS;
	int64 delay = flex_backoff_ms(callback->attempts - 1, CALLBACK_FIRST_MS, CALLBACK_MOST_MS);
	int shown = pg_mbcliplen(error->message, strlen(error->message), CALLBACK_SHOWN_BYTES);
	char *message = pnstrdup(error->message, shown);

	ereport(WARNING, (errcode(error->sqlerrcode),
					  errmsg("callback of request " INT64_FORMAT " of the Flex API outbox failed", callback->id),
					  give_up ? errdetail("It is not tried again.") : 0, errdetail_log("%s", message)));
	flex_outbox_fail_callback(callback, message,
							  give_up ? 0 : TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay));
}

/* Run a callback that was claimed, in the transaction that settles its request. */
static void
run_claimed_callback(Sender *sender, Callback *callback)
{
	OutboxAccess access;
	ErrorData *error;

	begin(sender, &access);
	if (flex_outbox_settle_callback(callback))
	{
		flex_outbox_leave(&access);
		error = flex_callback_run(callback);
		flex_outbox_enter(&access);
		if (error != NULL)
			fail_callback(callback, error);
		/* Its state is news the first time only. */
		if (error == NULL || callback->attempts == 1)
			flex_outbox_notify(callback->id, callback->state);
	}
	commit(sender, &access);
}

/* Run the next callback that is due; false when none is. */
static bool
run_callback(Sender *sender)
{
	OutboxAccess access;
	Callback callback;
	bool claimed;

	begin(sender, &access);
	claimed = flex_outbox_claim_callback(&callback);
	if (!claimed)
		sender->callback_at = flex_outbox_next_callback();
	commit(sender, &access);
	if (!claimed)
		return false;
	run_claimed_callback(sender, &callback);
	/* It may have left something to be sent. */
	sender->lanes_at = 0;
	note_due(sender, GetCurrentTimestamp());
	return true;
}

/* Raise when we have been told to stop. */
static void
check_stop(const Sender *sender)
{
	if (sender->transactions->check != NULL)
		sender->transactions->check();
}

/* Run callbacks that are due, but not so many that answers wait for long. */
static void
run_callbacks(Sender *sender)
{
	for (int i = 0; i < CALLBACKS_A_TURN; i++)
	{
		if (!run_callback(sender))
		{
			sender->has_callbacks = false;
			return;
		}
		check_stop(sender);
		(void) flex_batch_pump(&sender->batch);
	}
}

/* True when a callback may be due. */
static bool
may_run_callbacks(const Sender *sender)
{
	return sender->has_callbacks || (sender->callback_at != 0 && sender->callback_at <= GetCurrentTimestamp());
}

/* Milliseconds from now to a time, between 0 and that of the housekeeping. */
static long
ms_until(TimestampTz at)
{
	if (at == 0)
		return HOUSEKEEPING_MS;
	return Min(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), at), HOUSEKEEPING_MS);
}

/* Milliseconds until there may be something to do, when nothing is under way. */
long
flex_sender_idle_ms(const Sender *sender)
{
	return ms_until(earlier(earlier(sender->due_at, sender->tokens_at), sender->callback_at));
}

/* Look again, if somebody has woken us; true then. */
static bool
heed_wake(Sender *sender)
{
	if (!sender->is_worker || !flex_roster_was_woken())
		return false;
	note_due(sender, GetCurrentTimestamp());
	return true;
}

/* Wait for an answer, or for the time of the next request. */
static void
wait_for_something(Sender *sender)
{
	TimestampTz due_at = sender->requests_left > 0 ? earlier(sender->due_at, sender->tokens_at) : 0;
	bool full = concurrency() - sender->batch.count < Max(concurrency() / 4, 1);
	long late = flex_batch_pump(&sender->batch);

	if (flex_batch_any_over(&sender->batch) || heed_wake(sender))
		return;
	if (flex_transport_wait(Min(ms_until(full ? 0 : due_at), late)))
		note_due(sender, GetCurrentTimestamp());
}

/* One turn; false when there is nothing left to do now. */
static bool
take_turn(Sender *sender)
{
	check_stop(sender);
	(void) flex_batch_pump(&sender->batch);
	if (sender->tokens_at != 0 && sender->tokens_at <= GetCurrentTimestamp())
		note_due(sender, sender->tokens_at);
	if (flex_batch_any_over(&sender->batch) || must_clean_up(sender) || may_claim(sender))
		settle_and_claim(sender);
	flex_batch_start(&sender->batch);
	if (may_run_callbacks(sender))
		run_callbacks(sender);
	if (may_claim(sender) || may_run_callbacks(sender) || flex_batch_any_over(&sender->batch))
		return true;
	if (sender->batch.count == 0 && (sender->tokens_at == 0 || sender->requests_left == 0))
		return false;
	wait_for_something(sender);
	return true;
}

/* Settle all that is under way and let go of it: the sender has to stop. */
static void
wind_up(Sender *sender)
{
	OutboxAccess access;

	if (sender->batch.count == 0)
		return;
	begin(sender, &access);
	flex_batch_settle(&sender->batch, true);
	commit(sender, &access);
	sender->has_callbacks |= flex_batch_end_settled(&sender->batch, true);
}

/* After an error: settle what is under way, or at least let go of it. */
static void
wind_up_after_error(Sender *sender)
{
	PG_TRY();
	{
		sender->transactions->rollback();
		MemoryContextSwitchTo(sender->context);
		wind_up(sender);
	}
	PG_CATCH();
	{
		/* The next sender finds the requests, as those of one that was killed; the first error is told. */
		MemoryContextSwitchTo(sender->context);
		FlushErrorState();
		sender->transactions->rollback();
		sender->has_callbacks |= flex_batch_end_settled(&sender->batch, true);
	}
	PG_END_TRY();
}

/*
 * Send what is due, until nothing is.  Raises the first error that is not one
 * request's alone, after settling what is under way.
 */
void
flex_sender_run(Sender *sender)
{
	note_due(sender, GetCurrentTimestamp());
	/* Who has woken us may have asked for a callback that failed: flex_outbox_retry(). */
	sender->has_callbacks = true;
	PG_TRY();
	{
		while (take_turn(sender))
			CHECK_FOR_INTERRUPTS();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(sender->context);
		error = CopyErrorData();
		FlushErrorState();
		wind_up_after_error(sender);
		ReThrowError(error);
	}
	PG_END_TRY();
}
