/*
 * winding_up.c
 *		How a sender comes to its end: what is under way is settled.
 *
 * One that is told to stop gives what is on the wire, and callbacks that run, as long as
 * flex_api.shutdown_grace says, and settles the rest as it is; so does one that has met an
 * error.  One that makes place for another database's is in no such hurry: it waits for
 * all answers, but not until what cannot be recorded can be: that may take for ever.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#include "base/clock.h"
#include "base/errors.h"
#include "delivery/winding_up.h"
#include "shared/registry.h"
#include "shared/shutdown.h"

#define MOST_BARRED_MS 2000 /* of flex_api.shutdown_grace */
#define CALLBACKS_MS 5000   /* that callbacks which run may take, when others wait; then they are run again */
#define RECORDING_MS 5000   /* that it may take to record what became of requests, when others wait */

/* Settle a portion of what is under way, in a transaction of its own, and let go of it. */
static void
settle_portion(const UnderWay *way, SettleScope scope)
{
	flex_transaction_begin(way->transaction);
	flex_in_flight_settle(way->in_flight, scope);
	flex_transaction_commit(way->transaction);
	flex_in_flight_end_settled(way->in_flight);
}

/* Settle all that is under way and let go of it: the sender has to stop. */
static void
wind_up(const UnderWay *way, SettleScope scope)
{
	while (flex_in_flight_count(way->in_flight) > 0)
		settle_portion(way, scope);
}

/* Milliseconds that what is under way may still take; those who need the database empty do not wait for long. */
static long
grace_ms(void)
{
	return flex_shutdown_grace_ms(flex_registry_is_barred() ? MOST_BARRED_MS : PG_INT32_MAX);
}

/*
 * Let what is on the wire, and callbacks that run, come to their end while there is
 * time.  What has not left goes back at once.
 */
static void
await_ends(const UnderWay *way)
{
	long left;

	if (flex_in_flight_count(way->in_flight) > 0)
		settle_portion(way, SETTLE_UNSENT);
	while ((left = grace_ms()) > 0 &&
		   (flex_callback_schedule_dismiss(way->callbacks) || flex_in_flight_count(way->in_flight) > 0))
	{
		long late = flex_in_flight_receive(way->in_flight);

		if (flex_in_flight_any_over(way->in_flight))
			settle_portion(way, SETTLE_OVER);
		else
			(void) flex_in_flight_wait(way->in_flight,
									   Min(Min(left, late), flex_in_flight_unsettled_ms(way->in_flight)));
	}
}

/* The same, but let nothing take longer, also if it waits for a lock; a cancel ends it. */
static void
await_ends_in_time(const UnderWay *way)
{
	/* The one that brought us here. */
	QueryCancelPending = false;
	PG_TRY();
	{
		flex_transaction_roll_back(way->transaction);
		flex_in_flight_end_unclaimed(way->in_flight);
		enable_timeout_after(STATEMENT_TIMEOUT, (int) Max(grace_ms(), 1));
		await_ends(way);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(way->context);
		FlushErrorState();
	}
	PG_END_TRY();
	disable_timeout(STATEMENT_TIMEOUT, false);
	QueryCancelPending = false;
}

/* Wind up after an error.  Returns 0, or the SQLSTATE of another. */
static int
try_to_wind_up(const UnderWay *way, SettleScope scope)
{
	volatile int failure = 0;

	PG_TRY();
	{
		flex_transaction_roll_back(way->transaction);
		flex_in_flight_end_unclaimed(way->in_flight);
		wind_up(way, scope);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(way->context);
		failure = geterrcode();
		FlushErrorState();
	}
	PG_END_TRY();
	return failure;
}

/*
 * After an error: settle what is under way, or at least let go of it.  A cancel,
 * also one that comes only now, must not wait until all answers have been read.
 */
void
flex_wind_up_after_error(UnderWay under_way, int sqlerrcode)
{
	const UnderWay *way = &under_way;
	int failure = sqlerrcode;

	if (failure == ERRCODE_QUERY_CANCELED && grace_ms() > 0)
		await_ends_in_time(way);
	if (failure != ERRCODE_QUERY_CANCELED)
		failure = try_to_wind_up(way, SETTLE_ALL);
	/* Twice: a SIGTERM, which is a cancel, too, may come only now. */
	for (int i = 0; failure == ERRCODE_QUERY_CANCELED && i < 2; i++)
		failure = try_to_wind_up(way, SETTLE_AT_ONCE);
	if (failure == 0)
		return;
	/* The next sender finds the requests, as those of one that was killed; the first error is told. */
	flex_transaction_roll_back(way->transaction);
	flex_in_flight_end_all(way->in_flight);
}

/* Others wait, and what became of the requests cannot be recorded: the next sender has to do with less. */
static void
leave_unrecorded(const UnderWay *way)
{
	int left;

	flex_transaction_begin(way->transaction);
	left = flex_in_flight_leave(way->in_flight);
	flex_transaction_commit(way->transaction);
	flex_in_flight_end_settled(way->in_flight);
	if (left > 0)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not record the results of requests of the Flex API outbox"),
				 errdetail_plural("The result of %d request is lost: the worker of another database needs the slot.",
								  "The results of %d requests are lost: the worker of another database needs the slot.",
								  left, left),
				 errhint("Raise max_worker_processes, and look at the triggers, rules, constraints and "
						 "policies of table \"flex_outbox_requests\" and at who has its rows locked. Those "
						 "requests that must not be sent twice become uncertain.")));
}

/*
 * Let all come to its end that has left, and callbacks that run, for a while: there is
 * nothing to do here until other databases have had their turn.  What has not left goes
 * back.
 */
void
flex_wind_up_for_others(UnderWay under_way, const Driver *driver)
{
	const UnderWay *way = &under_way;
	int64 callbacks_until = flex_clock_ms() + CALLBACKS_MS;
	int64 recorded_until = flex_clock_ms() + RECORDING_MS;

	if (flex_in_flight_count(way->in_flight) > 0)
		settle_portion(way, SETTLE_UNSENT);
	for (;;)
	{
		int64 left = flex_callback_schedule_dismiss(way->callbacks) ? callbacks_until - flex_clock_ms() : 0;
		long late = flex_in_flight_receive(way->in_flight);
		int64 patience = PG_INT32_MAX;

		if (flex_in_flight_count(way->in_flight) == 0 && left <= 0)
			return;
		CHECK_FOR_INTERRUPTS();
		if (driver->check != NULL)
			driver->check();
		if (flex_in_flight_meets(way->in_flight, OBSTACLE_LOCK))
			patience = recorded_until - flex_clock_ms();
		late = Min(late, flex_in_flight_unsettled_ms(way->in_flight));
		if (flex_in_flight_any_over(way->in_flight))
			settle_portion(way, SETTLE_OVER);
		else if (patience <= 0)
			leave_unrecorded(way);
		else
			(void) flex_in_flight_wait(way->in_flight, Min(Min(late, patience), left > 0 ? left : PG_INT32_MAX));
	}
}
