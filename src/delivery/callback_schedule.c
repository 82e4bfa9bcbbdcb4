/*
 * callback_schedule.c
 *		Decides which roles' callbacks run, and in which process.
 *
 * Each role that has a callback due gets a background worker of its own, so that a slow callback delays neither the
 * sending of requests nor other roles' callbacks.  A sender has at most MOST_PROCESSES of them, and leaves the
 * server's last free worker slot alone.  If more roles wait, processes are told to end, and the waiting roles take
 * their places round robin.  A sender that has no process at all and can start none runs callbacks itself, one of
 * each role in turn, and continues to send between them.
 *
 * Rejected: a process that is connected as the role (needs LOGIN before PostgreSQL 17, and counts against the role's
 * connection limit); one for several roles (dblink and the like would pass one role's state on to the next); one per
 * callback (ten times slower); a setting for the number (no user could know a good value).
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/errors.h"
#include "delivery/callback_process.h"
#include "delivery/callback_rests.h"
#include "delivery/callback_schedule.h"
#include "delivery/callbacks.h"

#define MOST_PROCESSES 8
#define SLOTS_FOR_OTHERS 1 /* another database's sending worker must be able to start */
#define REST_MS 1000       /* before a role's failed process is replaced, and before another look for a free place */
#define STOP_MS 1000       /* how long to wait for a terminated process to exit */
#define VAIN_MS 100        /* between two requests to a process whose due callbacks are locked */
#define TURN_MS 50         /* how long the sender runs callbacks itself before it sends again */
#define WARNING_MS 60000   /* between two warnings that no slot is free */

/* A place for a process.  All times are those of flex_clock_ms(). */
typedef struct CallbackPlace
{
	Oid role;          /* InvalidOid if the place is free */
	Helper *process;   /* NULL if the place is free */
	int64 since;       /* when the process was started */
	int64 asked_at;    /* when the process was last asked to look for callbacks */
	uint32 asked_runs; /* value of runs at that time */
	uint32 runs;       /* CallbackShare.runs when the process was last attended to */
	uint32 answered;   /* CallbackShare.answered at that time */
	bool is_dismissed; /* it has been told to end after its present callback */
} CallbackPlace;

struct CallbackSchedule
{
	MemoryContext context;
	Transaction *transaction;
	bool is_worker;      /* false for a drain, which raises the first error of its processes */
	bool expected;       /* callbacks may have become due since the last look */
	TimestampTz next_at; /* when to look again for roles without a process; 0 if nothing is known to become due */
	Oid last_role;       /* the role that was served last, for the round robin */
	ErrorData *failure;  /* in a drain: the first error of a process, or NULL */
	int64 warned_at;     /* flex_clock_ms() of the last warning, or 0 */
	CallbackPlace places[MOST_PROCESSES];
	CallbackRests *rests;
};

/* Create a sender's schedule in the current memory context. */
CallbackSchedule *
flex_callback_schedule_create(Transaction *transaction, bool is_worker)
{
	CallbackSchedule *schedule = palloc0(sizeof(CallbackSchedule));

	schedule->context = CurrentMemoryContext;
	schedule->transaction = transaction;
	schedule->is_worker = is_worker;
	schedule->rests = flex_callback_rests_create();
	return schedule;
}

/* Note that a callback may have become due. */
void
flex_callback_schedule_expect(CallbackSchedule *schedule)
{
	schedule->expected = true;
}

/* Return true if it is time for flex_callback_schedule_run(). */
bool
flex_callback_schedule_may_be_due(const CallbackSchedule *schedule)
{
	return schedule->expected || (schedule->next_at != 0 && schedule->next_at <= GetCurrentTimestamp());
}

/* Return when to look again for callbacks of roles that have no process; 0 if nothing is known to become due. */
TimestampTz
flex_callback_schedule_next_at(const CallbackSchedule *schedule)
{
	return schedule->next_at;
}

/* Have the next look not later than at the given time. */
static void
note_next(CallbackSchedule *schedule, TimestampTz at)
{
	if (schedule->next_at == 0 || at < schedule->next_at)
		schedule->next_at = at;
}

/* Return the place of a role, or NULL. */
static CallbackPlace *
place_of(CallbackSchedule *schedule, Oid role)
{
	for (int i = 0; i < MOST_PROCESSES; i++)
	{
		if (schedule->places[i].role == role)
			return &schedule->places[i];
	}
	return NULL;
}

/* Return the number of processes. */
static int
processes_count(const CallbackSchedule *schedule)
{
	int count = 0;

	for (int i = 0; i < MOST_PROCESSES; i++)
		count += schedule->places[i].process != NULL ? 1 : 0;
	return count;
}

/* Terminate a place's process if it still runs, and free the place. */
static void
end_process(CallbackPlace *place)
{
	Assert(place->process != NULL);
	flex_helper_end(place->process, STOP_MS);
	*place = (CallbackPlace){.role = InvalidOid};
}

/* Free the place of a process that has exited; if it failed, its role rests.  Record a callback that ignored cancels. */
static void
note_process_end(CallbackSchedule *schedule, CallbackPlace *place)
{
	CallbackShare *share = flex_helper_share(place->process);
	bool was_stubborn = share->was_stubborn;
	bool has_failed = !share->has_left && !was_stubborn;
	Callback callback = share->running;
	Oid role = place->role;

	schedule->expected = true;
	/* A drain continues to send, and raises the error in flex_callback_schedule_finish(). */
	if (has_failed && !schedule->is_worker && schedule->failure == NULL)
		schedule->failure = flex_callback_process_failure(place->process, schedule->context);
	end_process(place);
	if (was_stubborn)
		flex_callbacks_give_up(schedule->transaction, &callback);
	if (has_failed)
		flex_callback_rests_begin(schedule->rests, role, schedule->failure != NULL ? CALLBACK_RESTS_FOR_GOOD : REST_MS);
}

/* Return true if a process has ended a callback, or has found no other one due, since it was last attended to. */
static bool
has_moved(const CallbackPlace *place)
{
	CallbackShare *share = flex_helper_share(place->process);

	return pg_atomic_read_u32(&share->runs) != place->runs || pg_atomic_read_u32(&share->answered) != place->answered;
}

/* Return true if a process needs attention.  Our latch does not tell: another wait may have reset it. */
bool
flex_callback_schedule_has_news(const CallbackSchedule *schedule)
{
	for (int i = 0; i < MOST_PROCESSES; i++)
	{
		const CallbackPlace *place = &schedule->places[i];

		if (place->process != NULL && (has_moved(place) || flex_helper_has_ended(place->process)))
			return true;
	}
	return false;
}

/* Note what the processes have done, and free the places of those that have exited.  Return true if any has worked. */
bool
flex_callback_schedule_attend(CallbackSchedule *schedule)
{
	bool news = false;

	for (int i = 0; i < MOST_PROCESSES; i++)
	{
		CallbackPlace *place = &schedule->places[i];
		CallbackShare *share;

		if (place->process == NULL)
			continue;
		news |= has_moved(place);
		share = flex_helper_share(place->process);
		place->answered = pg_atomic_read_u32(&share->answered);
		place->runs = pg_atomic_read_u32(&share->runs);
		if (flex_helper_has_ended(place->process))
			note_process_end(schedule, place);
	}
	return news;
}

/* Return true while callbacks are due, as far as known: a process works on some, or their role rests. */
bool
flex_callback_schedule_is_busy(const CallbackSchedule *schedule)
{
	for (int i = 0; i < MOST_PROCESSES; i++)
	{
		const CallbackPlace *place = &schedule->places[i];

		if (place->process != NULL && flex_callback_process_is_busy(place->process))
			return true;
	}
	return flex_callback_rests_any_is_awaited(schedule->rests);
}

/* Start a process for a role.  Return false if no place or no worker slot is free. */
static bool
start_process(CallbackSchedule *schedule, Oid role)
{
	CallbackPlace *place = place_of(schedule, InvalidOid);
	Helper *process;

	if (place == NULL || flex_helper_free_slots() <= SLOTS_FOR_OTHERS)
		return false;
	process = flex_callback_process_start(role);
	if (process == NULL)
		return false;
	*place = (CallbackPlace){.role = role, .process = process, .since = flex_clock_ms(), .asked_at = flex_clock_ms()};
	schedule->last_role = role;
	return true;
}

/*
 * Ask a process to look for callbacks.  If it has just looked and found none that it could
 * claim, the due ones are locked; then ask again only after VAIN_MS.
 */
static void
ask(CallbackSchedule *schedule, CallbackPlace *place)
{
	bool in_vain = !flex_callback_process_is_busy(place->process) && place->runs == place->asked_runs;

	if (in_vain && flex_clock_ms() - place->asked_at < VAIN_MS)
	{
		note_next(schedule, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), VAIN_MS));
		return;
	}
	place->asked_runs = place->runs;
	place->asked_at = flex_clock_ms();
	flex_callback_process_ask(place->process);
}

/* Have a process run a role's due callbacks, or let the role rest.  Return false if no process can be started. */
static bool
serve(CallbackSchedule *schedule, Oid role)
{
	CallbackPlace *place = place_of(schedule, role);
	int64 rest_ms;

	if (place != NULL)
	{
		ask(schedule, place);
		return true;
	}
	rest_ms = flex_callback_rests_await(schedule->rests, role);
	if (rest_ms == 0)
		return start_process(schedule, role);
	/* A drain starts no other process for a role whose process has failed. */
	if (rest_ms != CALLBACK_RESTS_FOR_GOOD)
		note_next(schedule, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), rest_ms));
	return true;
}

/* Return the process to dismiss next: an idle one, else the oldest; NULL if all have been dismissed. */
static CallbackPlace *
next_to_dismiss(CallbackSchedule *schedule)
{
	CallbackPlace *oldest = NULL;

	for (int i = 0; i < MOST_PROCESSES; i++)
	{
		CallbackPlace *place = &schedule->places[i];

		if (place->process == NULL || place->is_dismissed)
			continue;
		if (!flex_callback_process_is_busy(place->process))
			return place;
		if (oldest == NULL || place->since < oldest->since)
			oldest = place;
	}
	return oldest;
}

/* Dismiss processes until as many places become free as roles wait for one. */
static void
make_place(CallbackSchedule *schedule, int waiting)
{
	CallbackPlace *place;

	for (int i = 0; i < MOST_PROCESSES; i++)
		waiting -= schedule->places[i].is_dismissed ? 1 : 0;
	for (; waiting > 0 && (place = next_to_dismiss(schedule)) != NULL; waiting--)
	{
		place->is_dismissed = true;
		flex_callback_process_dismiss(place->process);
	}
	note_next(schedule, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), REST_MS));
}

/* Warn, at most once per minute, that callbacks run in the sender. */
static void
warn_of_slots(CallbackSchedule *schedule)
{
	if (schedule->warned_at != 0 && flex_clock_ms() - schedule->warned_at < WARNING_MS)
		return;
	schedule->warned_at = flex_clock_ms();
	ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					  errmsg("no background worker slot is free for callbacks of the Flex API outbox"),
					  errdetail("They run in the process that sends, which waits for each of them."),
					  errhint("Raise max_worker_processes.")));
}

/* Run callbacks here, one of each waiting role in turn, for TURN_MS or until none can be claimed.  Return how many. */
static int
run_here(CallbackSchedule *schedule, const CallbackRole *waiting, int count)
{
	int64 begin = flex_clock_ms();
	int ended = 0;
	int in_vain = 0;

	warn_of_slots(schedule);
	for (int i = 0; in_vain < count && flex_clock_ms() - begin < TURN_MS; i = (i + 1) % count)
	{
		Callback callback;

		schedule->last_role = waiting[i].role;
		if (!flex_callbacks_claim(schedule->transaction, waiting[i].role, &callback))
		{
			in_vain++;
			continue;
		}
		in_vain = 0;
		flex_callbacks_run(schedule->transaction, &callback, true);
		ended++;
	}
	if (ended > 0)
		schedule->expected = true;
	else
		note_next(schedule, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), REST_MS));
	return ended;
}

/* Return the roles that have callbacks, due or not, as an array in the schedule's context. */
static CallbackRole *
look_for_roles(CallbackSchedule *schedule, int *count)
{
	CallbackRole *found;
	CallbackRole *roles;

	flex_transaction_begin(schedule->transaction);
	found = flex_outbox_callback_roles(count);
	roles = MemoryContextAlloc(schedule->context, sizeof(CallbackRole) * Max(*count, 1));
	memcpy(roles, found, sizeof(CallbackRole) * *count);
	flex_transaction_commit(schedule->transaction);
	return roles;
}

/* Return the index of the role that follows the one served last; roles are in ascending order. */
static int
first_in_turn(const CallbackSchedule *schedule, const CallbackRole *roles, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (roles[i].role > schedule->last_role)
			return i;
	}
	return 0;
}

/*
 * Find the roles with due callbacks, and have a process run those of each, or run them here.
 * Return true if callbacks were run in this process.
 */
bool
flex_callback_schedule_run(CallbackSchedule *schedule)
{
	TimestampTz now = GetCurrentTimestamp();
	int count;
	CallbackRole *roles = look_for_roles(schedule, &count);
	int first = first_in_turn(schedule, roles, count);
	CallbackRole *waiting = MemoryContextAlloc(schedule->context, sizeof(CallbackRole) * Max(count, 1));
	int waiting_count = 0;
	int ended = 0;

	schedule->expected = false;
	schedule->next_at = 0;
	flex_callback_rests_await_none(schedule->rests);
	for (int i = 0; i < count; i++)
	{
		const CallbackRole *role = &roles[(first + i) % count];

		/* A role's process, if any, wakes by itself when the next callback is due. */
		if (role->due_at > now)
		{
			const CallbackPlace *place = place_of(schedule, role->role);

			if (place == NULL || place->process == NULL)
				note_next(schedule, role->due_at);
		}
		else if (!serve(schedule, role->role))
			waiting[waiting_count++] = *role;
	}
	if (waiting_count > 0 && processes_count(schedule) > 0)
		make_place(schedule, waiting_count);
	else if (waiting_count > 0)
		ended = run_here(schedule, waiting, waiting_count);
	pfree(waiting);
	pfree(roles);
	return ended > 0;
}

/* Tell all processes to end after their present callback.  Return true while any is alive. */
bool
flex_callback_schedule_dismiss(CallbackSchedule *schedule)
{
	bool any_lives = false;

	for (int i = 0; i < MOST_PROCESSES; i++)
	{
		Helper *process = schedule->places[i].process;

		if (process == NULL || flex_helper_has_ended(process))
			continue;
		flex_callback_process_dismiss(process);
		any_lives = true;
	}
	return any_lives;
}

/* At the end of a drain: dismiss the processes, wait until they have exited, and raise the first error of one, if any. */
void
flex_callback_schedule_finish(CallbackSchedule *schedule)
{
	(void) flex_callback_schedule_dismiss(schedule);
	while (processes_count(schedule) > 0)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		(void) flex_callback_schedule_attend(schedule);
		/* A wait for a lock may have reset the latch after a process had set it. */
		if (processes_count(schedule) > 0 && !flex_callback_schedule_has_news(schedule))
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, flex_wait_event("FlexApiCallbackExit"));
	}
	if (schedule->failure != NULL)
		flex_error_rethrow(schedule->failure);
}

/* Terminate all processes at once: the sender ends by an error. */
void
flex_callback_schedule_stop(CallbackSchedule *schedule)
{
	for (int i = 0; i < MOST_PROCESSES; i++)
	{
		if (schedule->places[i].process != NULL)
			end_process(&schedule->places[i]);
	}
}
