/*
 * winding_up.c
 *		Ends a sender: settles the requests in flight, and ends the callbacks' processes.
 *
 * A sender that is told to stop waits up to flex_api.shutdown_grace for the answers to requests
 * that have been sent and for running callbacks, and then settles the rest without answers.
 * After another error, requests in flight are settled as they are.
 *
 * A worker that ends so that another database's worker gets its slot waits for all answers.  It
 * does not wait for long if they cannot be recorded (because of locks, for instance), since that
 * might last forever.
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

#define MOST_BARRED_MS 2000 /* bounds shutdown_grace if somebody needs the database without sessions */
#define CALLBACKS_MS 5000   /* how long to wait for running callbacks if other databases wait */
#define RECORDING_MS 5000   /* how long to try to record results if other databases wait */

/* Settle one portion of the requests in flight, in a transaction of its own, and free them. */
static void
settle_portion(const UnderWay *way, SettleScope scope)
{
	flex_transaction_begin(way->transaction);
	flex_in_flight_settle(way->in_flight, scope);
	flex_transaction_commit(way->transaction);
	flex_in_flight_end_settled(way->in_flight);
}

/* Settle and free all requests in flight. */
static void
wind_up(const UnderWay *way, SettleScope scope)
{
	while (flex_in_flight_count(way->in_flight) > 0)
		settle_portion(way, scope);
}

/* Return how many milliseconds of the grace period are left. */
static long
grace_ms(void)
{
	return flex_shutdown_grace_ms(flex_registry_is_barred() ? MOST_BARRED_MS : PG_INT32_MAX);
}

/*
 * Wait until the requests that have been sent are answered and settled, and running callbacks
 * have ended, or the grace period is over.  Requests that have not been sent become pending
 * again first.
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

/*
 * Do the same after an error.  Waits for locks, too, end with the grace period, by
 * statement_timeout's timer; that, another error, or a cancel ends the wait without an error.
 */
static void
await_ends_in_time(const UnderWay *way)
{
	/* This cancel has brought us here, and must not interrupt the wait. */
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

/* Abort the transaction, and settle all requests in flight.  Return 0, or the SQLSTATE of an error. */
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
 * After an error with the given SQLSTATE: settle the requests in flight, or at least free them.
 * After a cancel, even one that comes only now, do not take the time to read answers.
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
	/* Twice, because SIGTERM is a cancel, too, and may come during the first try. */
	for (int i = 0; failure == ERRCODE_QUERY_CANCELED && i < 2; i++)
		failure = try_to_wind_up(way, SETTLE_AT_ONCE);
	if (failure == 0)
		return;
	/* The next sender takes the claims over, as after a crash.  The caller reports the first error. */
	flex_transaction_roll_back(way->transaction);
	flex_in_flight_end_all(way->in_flight);
}

/*
 * Free requests whose results cannot be recorded, because other databases wait.  The next
 * sender settles them as those of a sender that has died.
 */
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
 * End the worker's work so that another database's worker can have its slot.  Requests that
 * have not been sent become pending again.  Wait for the answers of the others, and up to
 * CALLBACKS_MS for running callbacks, which are otherwise run again later.
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
