/*
 * sender.c
 *		The main loop of a sender, which is a background worker or a drain.
 *
 * In each pass, one transaction settles the requests that have been answered and claims others;
 * after its commit these are sent.  Then due callbacks are passed to processes of their own, and
 * the sender waits, outside a transaction.  If a sender is killed, the next one takes its claims
 * over; one that is cancelled settles them before it ends.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/settings.h"
#include "delivery/callback_schedule.h"
#include "delivery/expiry.h"
#include "delivery/forgetter.h"
#include "delivery/housekeeping.h"
#include "delivery/in_flight.h"
#include "delivery/lanes.h"
#include "delivery/mending.h"
#include "delivery/holds.h"
#include "delivery/sender.h"
#include "delivery/winding_up.h"
#include "http/backpressure.h"
#include "outbox/prepared.h"
#include "outbox/rows.h"
#include "outbox/settling.h"
#include "shared/progress.h"
#include "shared/registry.h"

#define HOUSEKEEPING_MS 30000
#define PREPARED_MS 1000 /* between two looks while prepared transactions may hold requests */
#define MISFIT_MS 60000  /* between two warnings that the tables belong to another version of the library */

struct Sender
{
	const Driver *driver;
	bool is_worker;
	MemoryContext context;
	MemoryContext failure; /* holds the last error */
	Transaction *transaction;
	Lanes *lanes;
	InFlight *in_flight;
	Expiry *expiry;
	CallbackSchedule *callbacks;
	bool tables_fit;    /* the tables are of a known version, as far as we know; else nothing is claimed */
	bool is_in_a_hurry; /* the last pass processed only answers, and left everything else to this one */
	int64 warned_at;    /* flex_clock_ms() of the last warning that the tables do not fit, or 0 */
	int64 cleaned_at;   /* flex_clock_ms() of the last housekeeping; 0 if it is to be done now */
	int64 forgets_at;   /* flex_clock_ms() of the next deletion of old requests */
	int64 looked_at;    /* flex_clock_ms() of the last look for prepared transactions, or 0 */
	Progress *progress;
};

/* Create a sender, in a new child of the current memory context.  It may claim up to max_requests. */
Sender *
flex_sender_create(const Driver *driver, int64 max_requests, bool is_worker)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "flex_api sender", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Sender *sender = palloc0(sizeof(Sender));

	sender->driver = driver;
	sender->is_worker = is_worker;
	sender->context = context;
	sender->failure = AllocSetContextCreate(context, "flex_api failure", ALLOCSET_SMALL_SIZES);
	sender->tables_fit = true;
	sender->transaction = flex_transaction_create(driver);
	sender->lanes = flex_lanes_create(max_requests, is_worker);
	sender->callbacks = flex_callback_schedule_create(sender->transaction, is_worker);
	sender->in_flight = flex_in_flight_create();
	sender->expiry = flex_expiry_create();
	flex_mending_begin();
	flex_holds_begin();
	MemoryContextSwitchTo(before);
	return sender;
}

/* Do the housekeeping, and have everything looked for again. */
static void
clean_up(Sender *sender)
{
	Mark claims_from = flex_lanes_claims_from(sender->lanes);
	bool is_done = flex_housekeeping_run(flex_in_flight_count(sender->in_flight) == 0, &claims_from);

	flex_outbox_note_drain(sender->is_worker);
	flex_callback_schedule_expect(sender->callbacks);
	/* Look for new requests as well, although a worker is normally woken for them. */
	flex_lanes_look_now(sender->lanes, false);
	/* If more is to be taken over, the next pass continues. */
	sender->cleaned_at = is_done ? flex_clock_ms() : 0;
}

/* Return true if housekeeping is due. */
static bool
must_clean_up(const Sender *sender)
{
	return sender->tables_fit && (sender->cleaned_at == 0 || flex_clock_ms() - sender->cleaned_at >= HOUSEKEEPING_MS);
}

/* Return true if requests may be due, it is worth claiming some, and there is memory for their answers. */
static bool
may_claim(const Sender *sender)
{
	return flex_lanes_may_claim(sender->lanes, flex_in_flight_count(sender->in_flight)) && !flex_backpressure_is_due();
}

/* Let the driver check whether we have to stop; it raises an error then. */
static void
check_stop(const Sender *sender)
{
	if (sender->driver->check != NULL)
		sender->driver->check();
}

/*
 * Check that the tables are of a version that we know.  If not, a drain raises an error; the
 * worker warns, and waits until ALTER EXTENSION wakes it.
 */
static void
check_tables(Sender *sender)
{
	bool may_warn = sender->warned_at == 0 || flex_clock_ms() - sender->warned_at >= MISFIT_MS;

	sender->tables_fit = flex_outbox_tables_fit(!sender->is_worker ? ERROR : may_warn ? WARNING : 0);
	if (sender->tables_fit || may_warn)
		sender->warned_at = sender->tables_fit ? 0 : flex_clock_ms();
	if (!sender->tables_fit)
		flex_lanes_put_off(sender->lanes, MISFIT_MS);
}

/* Return the results of requests since the sender was created. */
DeliveryCounts
flex_sender_counts(const Sender *sender)
{
	return flex_in_flight_counts(sender->in_flight);
}

/* Prepare claimed requests for sending, and settle those that cannot be sent. */
static void
prepare(Sender *sender, const Claim *claims, int count)
{
	const Preparation *preparations = flex_in_flight_add(sender->in_flight, claims, count);
	bool all_prepared = true;

	for (int i = 0; i < count; i++)
	{
		if (preparations[i] != PREPARED)
			flex_lanes_give_back(sender->lanes, &claims[i]);
		flex_lanes_note_block(sender->lanes, claims[i].lane, preparations[i] == BLOCKED);
		all_prepared &= preparations[i] == PREPARED;
	}
	if (!all_prepared)
		flex_in_flight_write(sender->in_flight);
}

/* Return the milliseconds until there may be requests that have expired. */
static long
ms_until_expiry(const Sender *sender)
{
	return sender->tables_fit ? Min(flex_expiry_wait_ms(sender->expiry), HOUSEKEEPING_MS) : HOUSEKEEPING_MS;
}

static bool
may_expire(const Sender *sender)
{
	return ms_until_expiry(sender) == 0;
}

/* Settle some requests that have expired, if there may be any.  Return how many. */
static int
expire(Sender *sender)
{
	int count;
	const Claim *claims;

	if (!may_expire(sender))
		return 0;
	claims = flex_expiry_claim(sender->expiry, flex_lanes_backlog(sender->lanes), &count);
	/* One at a time: none of them will be sent, so each would end a subtransaction of several. */
	for (int i = 0; i < count; i++)
		(void) flex_in_flight_add(sender->in_flight, &claims[i], 1);
	if (count > 0)
		flex_in_flight_write(sender->in_flight);
	return count;
}

/* Look for new requests, because there may be some; at_once: also for due ones that waited for a time. */
static void
look_now(Sender *sender, bool at_once)
{
	flex_lanes_look_now(sender->lanes, at_once);
	flex_expiry_expect(sender->expiry);
}

/* In one transaction, settle requests that have been answered or have expired, and claim due ones. */
static void
settle_and_claim(Sender *sender)
{
	int64 begun_us = flex_clock_us();
	InFlight *in_flight = sender->in_flight;
	int claimed = 0;
	int settled;
	int under_way;

	flex_transaction_begin(sender->transaction);
	check_tables(sender);
	if (sender->tables_fit && must_clean_up(sender))
		clean_up(sender);
	if (sender->tables_fit && flex_mending_take_notice() && flex_outbox_hurry_mended() > 0)
		flex_lanes_unblock(sender->lanes);
	settled = flex_in_flight_settle(in_flight, SETTLE_OVER);
	if (sender->is_worker && flex_outbox_awaits_prepared())
		sender->looked_at = flex_clock_ms();
	settled += expire(sender);
	under_way = flex_in_flight_count(in_flight) - settled;
	/* A drain is not woken for new requests, so it always looks. */
	if (sender->tables_fit && (!sender->is_worker || flex_lanes_may_have_some(sender->lanes, under_way)))
	{
		const Claim *claims = flex_lanes_claim(sender->lanes, under_way, &claimed);

		if (claimed > 0)
			prepare(sender, claims, claimed);
	}
	if (claimed > 0)
		flex_transaction_make_durable(sender->transaction);
	flex_transaction_commit(sender->transaction);
	flex_in_flight_confirm(in_flight);
	flex_in_flight_end_settled(in_flight);
	flex_lanes_note_settled(sender->lanes);
	flex_in_flight_note_turn(in_flight, flex_clock_us() - begun_us);
	flex_delivery_counts_show(flex_sender_counts(sender), sender->progress);
	if (claimed > 0)
		flex_transaction_check_replicated(sender->transaction);
	check_stop(sender);
}

/* Return true if callbacks may be due that have not been passed to a process. */
static bool
may_run_callbacks(Sender *sender)
{
	if (flex_in_flight_had_callbacks(sender->in_flight))
		flex_callback_schedule_expect(sender->callbacks);
	return sender->tables_fit && flex_callback_schedule_may_be_due(sender->callbacks);
}

/* Have due callbacks run, and note what the callbacks' processes have done. */
static void
attend_to_callbacks(Sender *sender)
{
	bool any = flex_callback_schedule_attend(sender->callbacks);

	if (may_run_callbacks(sender) && flex_callback_schedule_run(sender->callbacks))
		any = true;
	/* Callbacks may have enqueued requests, or ended requests of ordering keys. */
	if (any)
		look_now(sender, true);
	check_stop(sender);
}

/* Return true if it is time to delete old requests. */
static bool
must_forget(const Sender *sender)
{
	return sender->tables_fit && sender->forgets_at <= flex_clock_ms();
}

/* Delete a portion of the old requests, if it is time for that. */
static void
forget(Sender *sender)
{
	if (!must_forget(sender))
		return;
	sender->forgets_at = flex_forgetter_run(sender->transaction) + flex_clock_ms();
	check_stop(sender);
}

/* Return true if a drain has to wait for callbacks.  The worker need not: their processes wake it. */
static bool
must_wait_for_callbacks(const Sender *sender)
{
	return !sender->is_worker && flex_callback_schedule_is_busy(sender->callbacks);
}

/* Return the milliseconds until a time (0 means never), from 0 to HOUSEKEEPING_MS. */
static long
ms_until(TimestampTz at)
{
	if (at == 0)
		return HOUSEKEEPING_MS;
	return Min(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), at), HOUSEKEEPING_MS);
}

/* Return the milliseconds until we have to check whether prepared transactions have been committed. */
static long
ms_until_prepared(const Sender *sender)
{
	if (!sender->is_worker || !flex_settings.delivery || flex_registry_prepared_at() == 0)
		return HOUSEKEEPING_MS;
	return (long) Max(sender->looked_at + PREPARED_MS - flex_clock_ms(), 0);
}

/* Return the milliseconds until requests may be due. */
static long
ms_until_due(const Sender *sender)
{
	return Min(ms_until(flex_lanes_next_at(sender->lanes)), ms_until_prepared(sender));
}

/* Return the milliseconds until there may be something to do, if nothing is in flight. */
long
flex_sender_idle_ms(const Sender *sender)
{
	if (flex_callback_schedule_has_news(sender->callbacks))
		return 0;
	return Min(Min(ms_until_due(sender), ms_until_expiry(sender)),
			   ms_until(flex_callback_schedule_next_at(sender->callbacks)));
}

/*
 * If some answers wait for others to be settled together, wait for these, for up to "late"
 * milliseconds, and return true; otherwise return false.
 */
static bool
gather_answers(Sender *sender, long late)
{
	long patience = flex_in_flight_patience_ms(sender->in_flight);
	bool is_woken = false;

	if (patience < 0)
		return false;
	for (patience = Min(patience, late); patience > 0 && !is_woken; patience = Min(patience, late))
	{
		CHECK_FOR_INTERRUPTS();
		is_woken = flex_in_flight_wait(sender->in_flight, patience);
		late = flex_in_flight_receive(sender->in_flight);
		if (flex_in_flight_must_settle(sender->in_flight))
			break;
		patience = flex_in_flight_patience_ms(sender->in_flight);
	}
	if (is_woken)
		look_now(sender, false);
	return true;
}

/* Wait until there is something to do: an answer, a due request, a callback, a wakeup. */
static void
wait_for_something(Sender *sender)
{
	bool full = flex_lanes_is_full(flex_in_flight_count(sender->in_flight)) || flex_backpressure_is_due();
	long late = flex_in_flight_receive(sender->in_flight);

	if (flex_in_flight_must_settle(sender->in_flight) || flex_callback_schedule_has_news(sender->callbacks))
		return;
	if (sender->is_worker && flex_registry_was_woken())
	{
		look_now(sender, false);
		return;
	}
	late = Min(late, ms_until(flex_callback_schedule_next_at(sender->callbacks)));
	late = Min(late, flex_mending_look_ms());
	late = Min(late, ms_until_expiry(sender));
	late = Min(late, flex_in_flight_unsettled_ms(sender->in_flight));
	if (sender->driver->check_ms > 0)
		late = Min(late, sender->driver->check_ms);
	if (gather_answers(sender, late))
		return;
	if (flex_in_flight_wait(sender->in_flight, Min(full ? HOUSEKEEPING_MS : ms_until_due(sender), late)) ||
		ms_until_prepared(sender) == 0)
		look_now(sender, false);
}

/* Before the sender becomes idle: write the lanes' marks, if that is worth it. */
static void
rest(Sender *sender)
{
	if (!sender->tables_fit || !flex_lanes_must_rest(sender->lanes))
		return;
	flex_transaction_begin(sender->transaction);
	flex_lanes_rest(sender->lanes);
	flex_transaction_commit(sender->transaction);
}

/* Raise an error in a drain if no result can be recorded.  The worker keeps them, and tries again. */
static void
check_recorded(const Sender *sender)
{
	if (sender->is_worker || !flex_in_flight_meets(sender->in_flight, OBSTACLE_REFUSAL))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("could not record the results of requests of the Flex API outbox"),
			 errdetail("Writing to table \"flex_outbox_requests\" failed for all of the remaining requests (%d).",
					   flex_in_flight_count(sender->in_flight)),
			 errhint("Look at its triggers, rules, constraints and policies. The next drain takes the requests over: "
					 "those that must not be sent twice become uncertain.")));
}

/* Do one pass of the main loop.  Return false if there is nothing left to do for now. */
static bool
do_pass(Sender *sender)
{
	check_stop(sender);
	(void) flex_in_flight_receive(sender->in_flight);
	if (flex_in_flight_must_settle(sender->in_flight) || must_clean_up(sender) || may_claim(sender) ||
		may_expire(sender) || flex_mending_is_noticed())
		settle_and_claim(sender);
	flex_in_flight_start(sender->in_flight);
	/* Answers that have already come are processed first, but not in two passes in succession. */
	sender->is_in_a_hurry = !sender->is_in_a_hurry && flex_in_flight_must_settle(sender->in_flight);
	if (sender->is_in_a_hurry)
		return true;
	attend_to_callbacks(sender);
	forget(sender);
	if (may_claim(sender) || may_expire(sender) || must_forget(sender) || may_run_callbacks(sender) ||
		flex_in_flight_must_settle(sender->in_flight))
		return true;
	if (flex_in_flight_count(sender->in_flight) == 0 && !flex_lanes_waits_for_rate(sender->lanes) &&
		!must_wait_for_callbacks(sender))
		return false;
	check_recorded(sender);
	wait_for_something(sender);
	return true;
}

/* Return the parts of the sender that have to be ended before it ends. */
static UnderWay
under_way(const Sender *sender)
{
	return (UnderWay){sender->transaction, sender->in_flight, sender->callbacks, sender->context};
}

/* Return true if a worker has to end so that another database's worker gets its slot. */
static bool
must_leave(const Sender *sender)
{
	return sender->is_worker && flex_registry_must_leave();
}

/*
 * Send requests until none is due.  Errors that concern single requests are recorded in their
 * rows.  Another error is raised, after the requests in flight have been settled.
 */
void
flex_sender_run(Sender *sender)
{
	MemoryContext context = AllocSetContextCreate(sender->context, "flex_api progress", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);

	sender->progress = flex_progress_begin(WAY_OUTBOX, NULL, PROGRESS_UNKNOWN);
	MemoryContextSwitchTo(before);
	look_now(sender, !sender->is_worker);
	sender->tables_fit = true;
	/* We may have been woken because flex_outbox_retry() made a failed callback due. */
	flex_callback_schedule_expect(sender->callbacks);
	PG_TRY();
	{
		while (!must_leave(sender) && do_pass(sender))
			CHECK_FOR_INTERRUPTS();
		if (must_leave(sender))
		{
			bool had_some = flex_in_flight_count(sender->in_flight) > 0;

			flex_wind_up_for_others(under_way(sender), sender->driver);
			/* Their settlement may have made others due. */
			if (had_some)
				look_now(sender, true);
		}
		rest(sender);
		if (!sender->is_worker)
			flex_callback_schedule_finish(sender->callbacks);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextReset(sender->failure);
		MemoryContextSwitchTo(sender->failure);
		error = flex_error_take();
		flex_lanes_forget(sender->lanes);
		flex_wind_up_after_error(under_way(sender), error->sqlerrcode);
		flex_callback_schedule_stop(sender->callbacks);
		/* This ends the progress.  The next run begins with housekeeping, to take over what could not be settled. */
		MemoryContextDelete(context);
		sender->cleaned_at = 0;
		flex_error_rethrow(error);
	}
	PG_END_TRY();
	MemoryContextDelete(context);
}
