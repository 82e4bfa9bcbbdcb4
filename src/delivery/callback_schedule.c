/*
 * callback_schedule.c
 *		Which roles' callbacks run, and where.
 *
 * Each role with a callback that is due gets a process of its own, so that a slow callback holds up neither the
 * sending nor another role's.  There are at most MOST_PROCESSES, and the server's last free slot is left to others.
 * When roles wait, processes end after a while, and the next role in turn gets the place.  A sender that gets no
 * process at all runs callbacks itself, one of each role in turn, and goes on sending between them.
 *
 * Decided against: one connected as the role, which needs LOGIN before 17 and takes of its connection limit; one
 * that serves several roles, for dblink and the like would carry what one role left to the next; a process per
 * callback, which takes ten times as long; a setting for the number, for nobody could say what it should be.
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
#include "delivery/callback_schedule.h"
#include "delivery/callbacks.h"

#define MOST_PROCESSES 8
#define SLOTS_FOR_OTHERS 1 /* a database's own worker must be able to start */
#define REST_MS 1000       /* after a process that ended by an error, until the role's next; also of a vain wait */
#define STOP_MS 1000       /* to wait for processes that are terminated */
#define VAIN_MS 100        /* between two questions, when what is due is locked */
#define TURN_MS 50         /* that callbacks may take of the sender at a time */
#define WARNING_MS 60000   /* between two warnings that no slot is free */

/* A place for a process. */
typedef struct CallbackPlace
{
	Oid role;          /* InvalidOid: free */
	Helper *process;   /* NULL: the role rests */
	int64 since;       /* flex_clock_ms(): since when it runs */
	int64 rests_until; /* flex_clock_ms() */
	int64 asked_at;    /* flex_clock_ms() */
	uint32 asked_runs; /* callbacks of it that had ended then */
	uint32 runs;       /* the same when it was last looked at */
	uint32 answered;   /* likewise */
	bool is_dismissed;
	bool is_awaited; /* the role rests, and has a callback that is due */
} CallbackPlace;

struct CallbackSchedule
{
	MemoryContext context;
	Transaction *transaction;
	bool is_worker;      /* else a drain, which fails where its processes do */
	bool expected;       /* perhaps a callback is due */
	TimestampTz next_at; /* when the next is due of roles without a process, for all we know; 0: there is none */
	Oid last_role;       /* that had its turn */
	ErrorData *failure;  /* of a drain's process, the first; NULL: none */
	int64 warned_at;     /* flex_clock_ms(); 0: never */
	CallbackPlace places[MOST_PROCESSES];
};

/* A schedule for a sender; it lives in the current context. */
CallbackSchedule *
flex_callback_schedule_create(Transaction *transaction, bool is_worker)
{
	CallbackSchedule *schedule = palloc0(sizeof(CallbackSchedule));

	schedule->context = CurrentMemoryContext;
	schedule->transaction = transaction;
	schedule->is_worker = is_worker;
	return schedule;
}

/* A callback may be due. */
void
flex_callback_schedule_expect(CallbackSchedule *schedule)
{
	schedule->expected = true;
}

/* True when callbacks may be due that have to be given a place. */
bool
flex_callback_schedule_may_be_due(const CallbackSchedule *schedule)
{
	return schedule->expected || (schedule->next_at != 0 && schedule->next_at <= GetCurrentTimestamp());
}

/* When the next is due of the roles that have no process; 0: there is none. */
TimestampTz
flex_callback_schedule_next_at(const CallbackSchedule *schedule)
{
	return schedule->next_at;
}

/* Note a time at which to look. */
static void
note_next(CallbackSchedule *schedule, TimestampTz at)
{
	if (schedule->next_at == 0 || at < schedule->next_at)
		schedule->next_at = at;
}

/* The place of a role, or NULL. */
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

/* How many processes there are. */
static int
processes_count(const CallbackSchedule *schedule)
{
	int count = 0;

	for (int i = 0; i < MOST_PROCESSES; i++)
		count += schedule->places[i].process != NULL ? 1 : 0;
	return count;
}

/* Let go of a place's process, which is ended if it has not ended. */
static void
end_process(CallbackPlace *place)
{
	flex_helper_end(place->process, STOP_MS);
	*place = (CallbackPlace){.role = InvalidOid};
}

/* A process has ended: see why, and free its place. */
static void
take_leave(CallbackSchedule *schedule, CallbackPlace *place)
{
	CallbackShare *share = flex_helper_share(place->process);
	bool was_stubborn = share->was_stubborn;
	bool has_failed = !share->has_left && !was_stubborn;
	int64 rests_until = flex_clock_ms() + REST_MS;
	Callback callback = share->running;
	Oid role = place->role;

	schedule->expected = true;
	/* A drain goes on to send, and raises the first error when all else is done. */
	if (has_failed && !schedule->is_worker && schedule->failure == NULL)
		schedule->failure = flex_callback_process_failure(place->process, schedule->context);
	if (schedule->failure != NULL)
		rests_until = PG_INT64_MAX;
	end_process(place);
	if (was_stubborn)
		flex_callbacks_give_up(schedule->transaction, &callback);
	if (has_failed)
		*place = (CallbackPlace){.role = role, .rests_until = rests_until};
}

/* True when callbacks of a process have ended, or it has come to the end of all, since it was looked at. */
static bool
has_moved(const CallbackPlace *place)
{
	CallbackShare *share = flex_helper_share(place->process);

	return pg_atomic_read_u32(&share->runs) != place->runs || pg_atomic_read_u32(&share->answered) != place->answered;
}

/* True when something is to be attended to: a latch alone may have been reset by another wait. */
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

/* See what the processes have done.  True when that is anything: it may have left something to be sent. */
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
			take_leave(schedule, place);
	}
	return news;
}

/* True while a process has callbacks to run, or a role rests that has some. */
bool
flex_callback_schedule_is_busy(const CallbackSchedule *schedule)
{
	for (int i = 0; i < MOST_PROCESSES; i++)
	{
		const CallbackPlace *place = &schedule->places[i];

		if (place->process != NULL ? flex_callback_process_is_busy(place->process) : place->is_awaited)
			return true;
	}
	return false;
}

/* A place that is free, or whose role only rests; NULL when there is none. */
static CallbackPlace *
free_place(CallbackSchedule *schedule)
{
	CallbackPlace *resting = NULL;

	for (int i = 0; i < MOST_PROCESSES; i++)
	{
		CallbackPlace *place = &schedule->places[i];

		if (!OidIsValid(place->role))
			return place;
		if (place->process == NULL)
			resting = place;
	}
	return resting;
}

/* Start a process for a role; false when there is no place for it. */
static bool
start_process(CallbackSchedule *schedule, Oid role)
{
	CallbackPlace *place = free_place(schedule);
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

/* Have a process look for callbacks, unless what is due is locked, so that it has just looked in vain. */
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

/* Have a role's callbacks run that are due; false when there is no place for its process. */
static bool
serve(CallbackSchedule *schedule, Oid role)
{
	CallbackPlace *place = place_of(schedule, role);

	if (place != NULL && place->process != NULL)
	{
		ask(schedule, place);
		return true;
	}
	/* In a drain it has failed for good. */
	if (place != NULL && place->rests_until == PG_INT64_MAX)
		return true;
	if (place != NULL && place->rests_until > flex_clock_ms())
	{
		place->is_awaited = true;
		note_next(schedule, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), place->rests_until - flex_clock_ms()));
		return true;
	}
	if (place != NULL)
		*place = (CallbackPlace){.role = InvalidOid};
	return start_process(schedule, role);
}

/* The process that has to make place next, NULL when all do already: one that does nothing, else the oldest. */
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

/* So many roles wait: have as many processes make place for them. */
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

/* Say, once a minute, that callbacks run in the sender. */
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

/*
 * Run callbacks here, one of each role in turn.  Returns how many came to their end;
 * after TURN_MS, or when no role has another, it is the sending's turn.
 */
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

/* The roles that have callbacks to run, in a context that lasts. */
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

/* The index of the first role that comes after the one that had its turn last. */
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
 * Have callbacks run that are due.  True when some have come to their end in this
 * process.
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
	for (int i = 0; i < MOST_PROCESSES; i++)
		schedule->places[i].is_awaited = false;
	for (int i = 0; i < count; i++)
	{
		const CallbackRole *role = &roles[(first + i) % count];

		/* A process knows by itself when its role's next callback is due. */
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

/* Have all processes end after the callback that they run now.  True while any lives. */
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

/*
 * A drain has sent all: let its processes go when they have come to the end of what they do.
 * Raises the error of one that has failed.
 */
void
flex_callback_schedule_finish(CallbackSchedule *schedule)
{
	(void) flex_callback_schedule_dismiss(schedule);
	while (processes_count(schedule) > 0)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		(void) flex_callback_schedule_attend(schedule);
		/* A lock that was waited for, now or before, may have reset the latch that a process had set. */
		if (processes_count(schedule) > 0 && !flex_callback_schedule_has_news(schedule))
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, flex_wait_event("FlexApiCallbackExit"));
	}
	if (schedule->failure != NULL)
		flex_error_rethrow(schedule->failure);
}

/* A sender ends by an error: end its processes. */
void
flex_callback_schedule_stop(CallbackSchedule *schedule)
{
	for (int i = 0; i < MOST_PROCESSES; i++)
	{
		if (schedule->places[i].process != NULL)
			end_process(&schedule->places[i]);
	}
}
