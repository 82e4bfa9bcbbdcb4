/*
 * crowd.c
 *		Attempts at requests, one or many at once.
 *
 * A crowd is a set of attempts that are waited for together.  Both direct calls and the
 * outbox use it: they add attempts, wait, take the Outcome of each attempt and end it.
 * What is done next (repeat, store the result, raise an error) is up to the caller.
 *
 * For a crowd of many, timeouts are not left to libcurl.  The caller does other work
 * between its waits (it stores results, it runs callbacks), during which no input is read.
 * libcurl would then report a timeout although the answer has arrived and merely has not
 * been read.  So deadlines are checked here, after all available input has been read.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/settings.h"
#include "http/activity_log.h"
#include "http/backpressure.h"
#include "http/crowd.h"
#include "http/readiness.h"
#include "http/transport.h"
#include "shared/rates.h"
#include "shared/statistics.h"

struct Crowd
{
	CrowdKind kind;
	dlist_head attempts;
	Readiness *readiness; /* for flex_crowd_descriptor(); NULL if not yet needed, or not available */
};

struct Attempt
{
	dlist_node node;
	const HttpRequest *request;
	const Endpoint *endpoint;
	Transfer *transfer; /* NULL after the attempt has been ended */
	int64 deadline;     /* flex_clock_ms() */
	int64 allowance;    /* milliseconds from the start to the original deadline */
	bool was_sent;      /* at the last look: at least part of the request may have been sent */
	bool is_late;       /* its deadline has passed */
	int64 sent_at;      /* flex_clock_us() of the start */
	bool is_noted;      /* its answer has been taken into account by the rate limiter */
	void *owner;        /* the caller's object that the attempt belongs to, or NULL */
	int number;         /* among the attempts at the request, counted from 1 */
	StatisticsPlace place;
	bool is_counted; /* it has been counted in the statistics and, if configured, logged */
	MemoryContextCallback at_end;
};

/* Create an empty crowd in the current context. */
Crowd *
flex_crowd_create(CrowdKind kind)
{
	Crowd *crowd = palloc(sizeof(Crowd));

	crowd->kind = kind;
	crowd->readiness = NULL;
	dlist_init(&crowd->attempts);
	return crowd;
}

/* Memory context callback: end an attempt whose memory is about to be freed. */
static void
end_attempt(void *argument)
{
	flex_attempt_end(argument);
}

/*
 * Start an attempt at a request, with a deadline in terms of flex_clock_ms().  The attempt
 * keeps pointers to request and endpoint, which must live as long as it does.
 */
Attempt *
flex_crowd_add(Crowd *crowd, const HttpRequest *request, const Endpoint *endpoint, int64 deadline)
{
	Attempt *attempt = palloc0(sizeof(Attempt));

	Assert(endpoint->authorization != NULL || request->authorized);
	attempt->request = request;
	attempt->endpoint = endpoint;
	attempt->deadline = deadline;
	attempt->sent_at = flex_clock_us();
	attempt->allowance = Max(deadline - flex_clock_ms(), 1);
	attempt->number = 1;
	if (flex_settings.track_operations)
		attempt->place = flex_statistics_find(OidIsValid(endpoint->role) ? endpoint->role : GetUserId(), request->way,
											  request->operation);
	attempt->transfer =
		flex_transport_start(request, endpoint, crowd->kind == CROWD_OF_MANY ? 0 : (long) attempt->allowance);
	attempt->was_sent = flex_transfer_was_sent(attempt->transfer);
	dlist_push_tail(&crowd->attempts, &attempt->node);
	attempt->at_end = (MemoryContextCallback){.func = end_attempt, .arg = attempt};
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &attempt->at_end);
	return attempt;
}

/* Classify the result of a transfer for the statistics.  A running one is given up by the caller. */
static Ending
ending_of(const TransferResult *result)
{
	if (result->state != TRANSFER_ANSWERED && result->state != TRANSFER_TOO_LARGE)
		return result->was_sent ? ENDING_LOST : ENDING_UNSENT;
	if (result->state == TRANSFER_ANSWERED && result->status / 100 == 2)
		return ENDING_SUCCEEDED;
	if (result->status == 429)
		return ENDING_THROTTLED;
	return result->status / 100 == 4 ? ENDING_REFUSED : ENDING_FAILED;
}

/*
 * Count an attempt in the statistics and log it, unless that has been done.  outcome is
 * NULL if the attempt is ended before its outcome has been asked for.  Nothing is logged
 * and no error is raised then, because we may be in a memory context callback.  An attempt
 * for which no file descriptor was left is not counted.
 */
static void
count_attempt(Attempt *attempt, const Outcome *outcome)
{
	TransferResult result;
	RequestEnd end;

	if (attempt->is_counted)
		return;
	attempt->is_counted = true;
	result = flex_transfer_result(attempt->transfer);
	if (result.state == TRANSFER_NO_DESCRIPTOR)
		return;
	end = (RequestEnd){
		.ending = outcome != NULL && flex_outcome_is_good(outcome) ? ENDING_SUCCEEDED : ending_of(&result),
		.is_repeat = attempt->number > 1,
		.bytes_sent = result.bytes_sent,
		.bytes_received = result.bytes_received,
		.elapsed_us = result.elapsed_us,
	};
	flex_statistics_count(&attempt->place, &end);
	if (outcome != NULL)
		flex_activity_log(outcome, end.ending, attempt->number);
}

/*
 * End an attempt.  Its connection is closed if the answer has not been received in full.
 * The body of its outcome is freed.  Does nothing if the attempt has been ended already.
 */
void
flex_attempt_end(Attempt *attempt)
{
	if (attempt->transfer == NULL)
		return;
	count_attempt(attempt, NULL);
	flex_transport_release(attempt->transfer);
	attempt->transfer = NULL;
	dlist_delete(&attempt->node);
}

/* Attach an object of the caller's to an attempt. */
void
flex_attempt_set_owner(Attempt *attempt, void *owner)
{
	attempt->owner = owner;
}

/* Return the object set by flex_attempt_set_owner(), which must have been called. */
void *
flex_attempt_owner(const Attempt *attempt)
{
	Assert(attempt->owner != NULL);
	return attempt->owner;
}

/* Set which attempt at the request this is (1, the default, for the first), for statistics and log. */
void
flex_attempt_set_number(Attempt *attempt, int number)
{
	Assert(number >= 1);
	attempt->number = number;
}

/* Add the rows found in the answer to the statistics. */
void
flex_attempt_count_rows(Attempt *attempt, int64 rows)
{
	flex_statistics_count_rows(&attempt->place, rows);
}

/* Return true if an attempt was answered, has failed, or is past its deadline. */
bool
flex_attempt_is_over(const Attempt *attempt)
{
	Assert(attempt->transfer != NULL);
	return attempt->is_late || flex_transfer_state(attempt->transfer) != TRANSFER_RUNNING;
}

/* Return true if the request has been sent and the answer is outstanding: the service may be carrying it out. */
bool
flex_attempt_awaits_answer(const Attempt *attempt)
{
	return !flex_attempt_is_over(attempt) && flex_transfer_was_sent(attempt->transfer);
}

/* Return the size of the answer's body in bytes; 0 unless the answer is complete. */
size_t
flex_attempt_answer_length(const Attempt *attempt)
{
	Assert(attempt->transfer != NULL);
	return flex_transfer_state(attempt->transfer) == TRANSFER_ANSWERED ? flex_transfer_length(attempt->transfer) : 0;
}

/* Tell the rate limiter, once per attempt, whether the service accepted the request. */
static void
note_rate(Attempt *attempt, const Outcome *outcome)
{
	RateKey key = flex_endpoint_rate_key(attempt->endpoint, attempt->request->counts_as);

	if (attempt->is_noted)
		return;
	attempt->is_noted = true;
	if (outcome->verdict == VERDICT_THROTTLED)
		flex_rates_note_refused(key, attempt->sent_at, outcome->retry_after_ms);
	else if (outcome->failure_kind == FAILURE_NONE)
		flex_rates_note_passed(key, attempt->sent_at);
	if (outcome->verdict == VERDICT_AGAIN && outcome->retry_after_ms > 0)
		flex_rates_pause(key, outcome->retry_after_ms);
}

/*
 * Return the outcome of an attempt that is over, or that the caller gives up, in which case
 * given_up is the reason.  was_maybe_done tells that an earlier attempt at the request may
 * have been carried out.  The outcome's body is valid until the attempt is ended; its other
 * strings are allocated in the current context.
 */
Outcome
flex_attempt_outcome(Attempt *attempt, bool was_maybe_done, const char *given_up)
{
	Outcome outcome;

	Assert(given_up != NULL || flex_attempt_is_over(attempt));
	if (attempt->is_late)
		given_up = "no answer came within flex_api.timeout";
	outcome = flex_outcome_reach(attempt->request, attempt->endpoint, attempt->transfer, was_maybe_done, given_up);
	note_rate(attempt, &outcome);
	count_attempt(attempt, &outcome);
	return outcome;
}

/*
 * Return the attempt that was over first, of those that have not been ended yet, or NULL.
 * Attempts past their deadline, which have no serial number of ending, come before others.
 */
Attempt *
flex_crowd_next_finished(Crowd *crowd)
{
	Attempt *first = NULL;
	dlist_iter iter;

	dlist_foreach(iter, &crowd->attempts)
	{
		Attempt *attempt = dlist_container(Attempt, node, iter.cur);

		if (flex_attempt_is_over(attempt) &&
			(first == NULL || flex_transfer_ending(attempt->transfer) < flex_transfer_ending(first->transfer)))
			first = attempt;
	}
	return first;
}

/*
 * Extend the deadlines of attempts whose answers are suspended, so that each has its full
 * allowance from the moment when reading is resumed: the delay is ours, not the service's.
 */
static void
extend_held(Crowd *crowd)
{
	dlist_iter iter;

	dlist_foreach(iter, &crowd->attempts)
	{
		Attempt *attempt = dlist_container(Attempt, node, iter.cur);

		if (flex_transfer_held(attempt->transfer) == HELD)
			attempt->deadline = flex_clock_ms() + attempt->allowance;
	}
}

/*
 * Mark an attempt as late if its deadline has passed, and return the milliseconds left.
 *
 * Establishing a connection may have been delayed by the caller's other work, too, so that
 * a request is sent only after its deadline.  Such an attempt gets its allowance once
 * more: if it were given up now, it would be unknown whether the request is carried out.
 */
static int64
watch_time(Attempt *attempt)
{
	int64 now = flex_clock_ms();
	bool was_sent_before = attempt->was_sent;

	attempt->was_sent = flex_transfer_was_sent(attempt->transfer);
	if (attempt->was_sent && !was_sent_before && attempt->deadline <= now)
		attempt->deadline = now + attempt->allowance;
	attempt->is_late = attempt->deadline <= now;
	return Max(attempt->deadline - now, 0);
}

/*
 * Read all available input, then mark the attempts that are past their deadline as late.
 * Return in how many milliseconds this must be called again at the latest.
 */
long
flex_crowd_advance(Crowd *crowd)
{
	int64 next = PG_INT32_MAX;
	dlist_iter iter;

	Assert(crowd->kind == CROWD_OF_MANY);
	if (dlist_is_empty(&crowd->attempts))
		return next;
	extend_held(crowd);
	flex_transport_pump();
	extend_held(crowd);
	dlist_foreach(iter, &crowd->attempts)
	{
		Attempt *attempt = dlist_container(Attempt, node, iter.cur);

		if (flex_transfer_state(attempt->transfer) == TRANSFER_RUNNING)
			next = Min(next, watch_time(attempt));
	}
	/* Only one answer is being read, which may stall; then another one gets its turn. */
	return flex_backpressure_is_due() ? Min(next, FLEX_STALL_MS) : next;
}

/* Return the kind of wait to show in pg_stat_activity: otherwise if no attempt is running. */
static WaitKind
wait_kind(Crowd *crowd, WaitKind otherwise)
{
	WaitKind kind = otherwise;
	dlist_iter iter;

	dlist_foreach(iter, &crowd->attempts)
	{
		const Attempt *attempt = dlist_container(Attempt, node, iter.cur);

		if (flex_attempt_awaits_answer(attempt))
			return WAIT_FOR_ANSWER;
		if (!flex_attempt_is_over(attempt))
			kind = WAIT_FOR_CONNECTION;
	}
	return kind;
}

/*
 * Wait until something happens to an attempt, the latch is set or the time is over.  If no
 * attempt is running, pg_stat_activity shows the wait as one of kind otherwise.  Return
 * true if the latch was set; it has been reset then.  Interrupts are served.
 */
bool
flex_crowd_wait(Crowd *crowd, long timeout_ms, WaitKind otherwise)
{
	return flex_transport_wait(timeout_ms, timeout_ms > 0 ? wait_kind(crowd, otherwise) : otherwise);
}

/*
 * Return the time (flex_clock_ms()) from which on there is work for the crowd even if no
 * socket is ready; 0 for at once, PG_INT64_MAX for never.
 */
static int64
due_at(Crowd *crowd)
{
	int64 at;
	dlist_iter iter;

	if (dlist_is_empty(&crowd->attempts))
		return PG_INT64_MAX;
	if (flex_crowd_next_finished(crowd) != NULL)
		return 0;
	at = flex_transport_due_at();
	/* Only one answer is being read, which may stall. */
	if (flex_backpressure_is_due())
		at = Min(at, flex_clock_ms() + FLEX_STALL_MS);
	/* libcurl's timer, in flex_transport_due_at(), includes the deadline. */
	if (crowd->kind == CROWD_OF_ONE)
		return at;
	dlist_foreach(iter, &crowd->attempts) at = Min(at, dlist_container(Attempt, node, iter.cur)->deadline);
	return at;
}

/*
 * Return a descriptor to be put into another WaitEventSet.  It becomes readable when there
 * may be work for the crowd, and at wake_at (flex_clock_ms(); PG_INT64_MAX for never).
 * There may be spurious readiness, and it lasts until this function is called again: so
 * call it before each wait.  The crowd owns the descriptor, which is the same in each call.
 *
 * Return PGINVALID_SOCKET if there is no such descriptor, because the system is not Linux
 * or no file descriptor is left.  The caller must use flex_crowd_wait() then.
 */
pgsocket
flex_crowd_descriptor(Crowd *crowd, int64 wake_at)
{
	if (crowd->readiness == NULL)
	{
		MemoryContext before = MemoryContextSwitchTo(GetMemoryChunkContext(crowd));

		crowd->readiness = flex_readiness_create();
		MemoryContextSwitchTo(before);
	}
	if (crowd->readiness == NULL)
		return PGINVALID_SOCKET;
	return flex_readiness_set(crowd->readiness, Min(wake_at, due_at(crowd)));
}
