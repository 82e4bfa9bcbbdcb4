/*
 * crowd.c
 *		Attempts at requests, one or many at once.
 *
 * The one engine for direct calls and for the outbox: attempts are added, waited for
 * together, give an Outcome each, and are ended.  What is done next (try again,
 * settle, raise) is for the caller to say.
 *
 * In a crowd of many libcurl does not watch the time.  Its owner does other things
 * meanwhile (it settles, it runs a callback), in which nobody reads; an answer that
 * came in that time must not be taken for one that is late.
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
	Readiness *readiness; /* NULL: nobody has asked for it, or it cannot be had */
};

struct Attempt
{
	dlist_node node;
	const HttpRequest *request;
	const Endpoint *endpoint;
	Transfer *transfer; /* NULL: the attempt has been ended */
	int64 deadline;     /* flex_clock_ms() */
	int64 allowance;    /* milliseconds that it had at first */
	bool was_sent;      /* when it was last looked at */
	bool is_late;       /* its time is over */
	int64 sent_at;      /* flex_clock_us() */
	bool is_noted;      /* its answer, for the rate of such requests */
	void *owner;        /* what it is made for; NULL: not said */
	int number;         /* among the attempts at the request, from 1 on */
	StatisticsPlace place;
	bool is_counted; /* in the statistics, and logged */
	MemoryContextCallback at_end;
};

/* A crowd without attempts. */
Crowd *
flex_crowd_create(CrowdKind kind)
{
	Crowd *crowd = palloc(sizeof(Crowd));

	crowd->kind = kind;
	crowd->readiness = NULL;
	dlist_init(&crowd->attempts);
	return crowd;
}

/* The memory context of an attempt ends. */
static void
end_attempt(void *argument)
{
	flex_attempt_end(argument);
}

/*
 * Send a request; the beginning of it is on its way when this returns.  Request and
 * endpoint must stay as long as the attempt.
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

/* How a transfer ended that is over, or is given up. */
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
 * Count an attempt, once.  outcome NULL: it is let go of before anybody has asked what it
 * came to; then no error is raised, and nothing is logged, for memory contexts may be
 * ending.  What could not even be tried is not counted.
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
 * Let go of an attempt, and of its connection if the answer has not come.  Its outcome
 * has no body any more.  Nothing happens for one that has been ended.
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

/* Say what an attempt is made for. */
void
flex_attempt_set_owner(Attempt *attempt, void *owner)
{
	attempt->owner = owner;
}

void *
flex_attempt_owner(const Attempt *attempt)
{
	Assert(attempt->owner != NULL);
	return attempt->owner;
}

/* Say which attempt at the request it is. */
void
flex_attempt_set_number(Attempt *attempt, int number)
{
	Assert(number >= 1);
	attempt->number = number;
}

/* Count rows that its answer has. */
void
flex_attempt_count_rows(Attempt *attempt, int64 rows)
{
	flex_statistics_count_rows(&attempt->place, rows);
}

/* True when an attempt was answered, has failed, or is late. */
bool
flex_attempt_is_over(const Attempt *attempt)
{
	Assert(attempt->transfer != NULL);
	return attempt->is_late || flex_transfer_state(attempt->transfer) != TRANSFER_RUNNING;
}

/* True when the request has left and its answer is waited for: the service may be carrying it out. */
bool
flex_attempt_awaits_answer(const Attempt *attempt)
{
	return !flex_attempt_is_over(attempt) && flex_transfer_was_sent(attempt->transfer);
}

/* The bytes of a whole answer; 0 while there is none. */
size_t
flex_attempt_answer_length(const Attempt *attempt)
{
	Assert(attempt->transfer != NULL);
	return flex_transfer_state(attempt->transfer) == TRANSFER_ANSWERED ? flex_transfer_length(attempt->transfer) : 0;
}

/* Note, once, whether the service let the request through. */
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
 * What an attempt came to that is over, or that is given up for that reason.
 * was_maybe_done: an earlier attempt at the request may have been carried out.  The
 * body lasts until the attempt is ended; texts are allocated in the current context.
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
 * Of the attempts that are over and have not been ended, the one that was over first; NULL:
 * there is none.  One that is late comes before those that have ended by themselves.
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

/* An answer that has to wait for others has its time once more when it may go on: it is not the service that is late. */
static void
excuse_held(Crowd *crowd)
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
 * Give up an attempt whose time is over.  A connection may have waited for the owner of
 * the crowd, too: what is sent only after its time is over gets that time once more, for
 * given up now it would be uncertain.  Returns the milliseconds that are left.
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
 * Read what has come, then give up what is late.  Returns the milliseconds until
 * this has to be done again if nothing happens.
 */
long
flex_crowd_advance(Crowd *crowd)
{
	int64 next = PG_INT32_MAX;
	dlist_iter iter;

	Assert(crowd->kind == CROWD_OF_MANY);
	if (dlist_is_empty(&crowd->attempts))
		return next;
	excuse_held(crowd);
	flex_transport_pump();
	excuse_held(crowd);
	dlist_foreach(iter, &crowd->attempts)
	{
		Attempt *attempt = dlist_container(Attempt, node, iter.cur);

		if (flex_transfer_state(attempt->transfer) == TRANSFER_RUNNING)
			next = Min(next, watch_time(attempt));
	}
	/* The one answer that is read may stall. */
	return flex_backpressure_is_due() ? Min(next, FLEX_STALL_MS) : next;
}

/* What is waited for, where an attempt is under way. */
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
 * Wait until something happens to an attempt, or for so many milliseconds; where none is
 * under way, that is a wait for something else, which pg_stat_activity tells.  True when
 * the process's latch was set.  Raises what CHECK_FOR_INTERRUPTS() raises, at once.
 */
bool
flex_crowd_wait(Crowd *crowd, long timeout_ms, WaitKind otherwise)
{
	return flex_transport_wait(timeout_ms, timeout_ms > 0 ? wait_kind(crowd, otherwise) : otherwise);
}

/* When flex_crowd_advance() has something to do though no socket is ready, by flex_clock_ms(). */
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
	/* The one answer that is read may stall. */
	if (flex_backpressure_is_due())
		at = Min(at, flex_clock_ms() + FLEX_STALL_MS);
	/* The time of one alone is watched by libcurl. */
	if (crowd->kind == CROWD_OF_ONE)
		return at;
	dlist_foreach(iter, &crowd->attempts) at = Min(at, dlist_container(Attempt, node, iter.cur)->deadline);
	return at;
}

/*
 * A descriptor for somebody else's WaitEventSet: WL_SOCKET_READABLE when
 * flex_crowd_advance() may have something to do, and at wake_at (flex_clock_ms();
 * PG_INT64_MAX: never).  It may be readable for nothing, and stays so until it is asked
 * for anew: ask before each wait.  The crowd keeps it, always the same one.
 *
 * PGINVALID_SOCKET where it cannot be had: wait with flex_crowd_wait() there.
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
