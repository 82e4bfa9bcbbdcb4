/*
 * registry.c
 *		Registry of the outbox workers in shared memory: which database has one, and how to wake it.
 *
 * It exists only if flex_api is in shared_preload_libraries.  A slot stands for a database
 * in which there may be something to send.  The launcher starts a worker for each slot that
 * has none.  The commit of a request wakes the database's worker or else the launcher.
 *
 * If max_worker_processes does not allow a worker for each database, they take turns: the
 * launcher asks as many workers to leave as databases wait for one, first those that are
 * idle, then those that have run longest.  A worker that has left is started again when
 * there is something to do and its database's turn has come.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "shared/registry.h"

#define MAX_DATABASES 256
#define RESTART_PAUSE_MS 1000   /* before a worker that has exited is started again */
#define START_PATIENCE_MS 10000 /* how long a worker may take from its start to its entry here */
#define LOOK_FOR_PLACE_MS 500   /* between attempts to start a worker if no background worker slot is free */
#define ROUND_MS 4000           /* in which each waiting database gets a turn, if workers leave at once */
#define LEAST_TURN_MS 200       /* a worker that is not idle may run at least this long */

/* A database in which there may be something to send. */
typedef struct Slot
{
	Oid database;        /* InvalidOid: the slot is unused */
	pid_t pid;           /* of the worker; 0: there is none */
	TimestampTz since;   /* when the worker was started */
	Latch *latch;        /* of the worker; NULL if pid is 0 */
	bool woken;          /* flex_registry_wake() was called since the worker last asked */
	bool barred;         /* no worker may run: the database is being dropped or copied */
	int64 not_before;    /* flex_clock_ms() from when on a worker may be started */
	int64 started_at;    /* flex_clock_ms() when the worker was started */
	bool is_idle;        /* the worker waits for something to do */
	bool must_leave;     /* the worker has been asked to leave for another database's */
	bool has_left;       /* it did; another one is needed when woken, or at not_before */
	bool is_crowded_out; /* no background worker slot was free for a worker */
	/* A transaction prepared at this time or before may hold requests; 0: none does. */
	TimestampTz prepared_at;
} Slot;

typedef struct Registry
{
	LWLock *lock;
	Latch *launcher; /* its latch; NULL: it does not run */
	bool was_full;   /* a database found no slot, which has been logged */
	Slot slots[MAX_DATABASES];
} Registry;

static Registry *registry;

/* Return the bytes of shared memory that are needed, the lock not counted. */
Size
flex_registry_size(void)
{
	return MAXALIGN(sizeof(Registry));
}

/* Use this memory, and initialize it if it is new. */
void
flex_registry_set_up(void *memory, LWLock *lock, bool is_new)
{
	registry = memory;
	if (!is_new)
		return;
	memset(registry, 0, sizeof(Registry));
	registry->lock = lock;
}

/* Return true if the library was preloaded, without which there are no workers. */
bool
flex_registry_exists(void)
{
	return registry != NULL;
}

/* Return the slot of a database or NULL.  With create, create it unless all are taken.  The caller holds the lock. */
static Slot *
find_slot(Oid database, bool create)
{
	Slot *unused = NULL;

	Assert(OidIsValid(database));
	Assert(create ? LWLockHeldByMeInMode(registry->lock, LW_EXCLUSIVE) : LWLockHeldByMe(registry->lock));
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		Slot *slot = &registry->slots[i];

		if (slot->database == database)
			return slot;
		if (unused == NULL && !OidIsValid(slot->database))
			unused = slot;
	}
	if (!create || unused == NULL)
		return NULL;
	*unused = (Slot){.database = database};
	return unused;
}

/* Wake the worker of a database in which there is something to send, or the launcher.  Return false if no slot is free. */
bool
flex_registry_wake(Oid database)
{
	Slot *slot;
	bool must_log;

	if (registry == NULL)
		return false;
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(database, true);
	must_log = slot == NULL && !registry->was_full;
	registry->was_full |= slot == NULL;
	if (slot != NULL)
		slot->woken = true;
	if (slot != NULL && slot->has_left)
		slot->not_before = Min(slot->not_before, flex_clock_ms());
	if (slot != NULL && slot->pid != 0)
		SetLatch(slot->latch);
	else if (slot != NULL && registry->launcher != NULL)
		SetLatch(registry->launcher);
	LWLockRelease(registry->lock);
	if (must_log)
		ereport(LOG, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					  errmsg("no Flex API outbox worker can be started for database %u at present", database),
					  errdetail("There are workers for %d databases at most. This is not logged again.", MAX_DATABASES),
					  errhint("CALL flex_outbox_drain() in such databases.")));
	return slot != NULL;
}

/*
 * Return true if this process's database was woken since the last call.  The latch alone
 * does not tell: other waits, for a lock or a synchronous standby, reset it, too.
 */
bool
flex_registry_was_woken(void)
{
	Slot *slot;
	bool woken;

	Assert(registry != NULL);
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId, false);
	woken = slot != NULL && slot->woken;
	if (woken)
		slot->woken = false;
	LWLockRelease(registry->lock);
	return woken;
}

/*
 * Note that a transaction with requests for a database has been prepared, and wake its
 * worker.  If there is no slot yet, its first worker assumes that there are such transactions.
 */
void
flex_registry_note_prepared(Oid database)
{
	Slot *slot;

	if (registry == NULL)
		return;
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(database, false);
	if (slot != NULL)
		slot->prepared_at = GetCurrentTimestamp();
	if (slot != NULL && slot->pid != 0)
		SetLatch(slot->latch);
	LWLockRelease(registry->lock);
}

/* Return a copy of a database's slot; all zeroes if it has none. */
static Slot
look_at_slot(Oid database)
{
	Slot copy = {0};
	Slot *slot;

	LWLockAcquire(registry->lock, LW_SHARED);
	slot = find_slot(database, false);
	if (slot != NULL)
		copy = *slot;
	LWLockRelease(registry->lock);
	return copy;
}

/* Return when a transaction was last prepared that may hold requests of this process's database; 0: none does. */
TimestampTz
flex_registry_prepared_at(void)
{
	return look_at_slot(MyDatabaseId).prepared_at;
}

/* Note that all transactions prepared until that time have ended; without effect if one was prepared since then. */
void
flex_registry_forget_prepared(TimestampTz at)
{
	Slot *slot;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId, false);
	if (slot != NULL && slot->prepared_at == at)
		slot->prepared_at = 0;
	LWLockRelease(registry->lock);
}

/* before_shmem_exit callback of the launcher. */
static void
sign_off_launcher(int code, Datum argument)
{
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	registry->launcher = NULL;
	LWLockRelease(registry->lock);
}

/* Register this process as the launcher, until it exits. */
void
flex_registry_sign_on_launcher(void)
{
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	Assert(registry->launcher == NULL);
	registry->launcher = &MyProc->procLatch;
	LWLockRelease(registry->lock);
	before_shmem_exit(sign_off_launcher, (Datum) 0);
}

/* before_shmem_exit callback of a worker.  Another may be started: after a pause, unless this one had to leave. */
static void
sign_off_worker(int code, Datum argument)
{
	Slot *slot;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId, false);
	if (slot != NULL && slot->pid == MyProcPid)
	{
		slot->pid = 0;
		slot->latch = NULL;
		if (!slot->has_left || slot->woken)
			slot->not_before = flex_clock_ms() + (slot->has_left ? 0 : RESTART_PAUSE_MS);
		slot->must_leave = false;
		if (registry->launcher != NULL)
			SetLatch(registry->launcher);
	}
	LWLockRelease(registry->lock);
}

/* Register this process as its database's worker until it exits.  Return false if it may not have another. */
bool
flex_registry_sign_on_worker(void)
{
	Slot *slot;
	bool is_free;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId, true);
	is_free = slot != NULL && slot->pid == 0 && !slot->barred;
	if (is_free)
	{
		slot->pid = MyProcPid;
		slot->since = MyStartTimestamp;
		slot->started_at = flex_clock_ms();
		slot->is_idle = slot->must_leave = slot->has_left = slot->is_crowded_out = false;
		slot->latch = &MyProc->procLatch;
		/* Assume that there is a prepared transaction: they survive a restart of the server, this memory does not. */
		slot->prepared_at = GetCurrentTimestamp();
	}
	LWLockRelease(registry->lock);
	if (is_free)
		before_shmem_exit(sign_off_worker, (Datum) 0);
	return is_free;
}

/*
 * Free the slot of a database that needs no worker until flex_registry_wake().  If the calling
 * worker has been woken in the meantime it stays, so that the launcher starts another one.
 */
void
flex_registry_close(Oid database)
{
	Slot *slot;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(database, false);
	if (slot != NULL && !slot->barred && !(slot->pid == MyProcPid && slot->woken) &&
		(slot->pid == 0 || slot->pid == MyProcPid))
		*slot = (Slot){.database = InvalidOid};
	LWLockRelease(registry->lock);
}

/* Return true if a worker should be started for a slot now. */
static bool
needs_worker(const Slot *slot)
{
	return OidIsValid(slot->database) && slot->pid == 0 && !slot->barred && slot->not_before <= flex_clock_ms();
}

/*
 * Return the database that has needed a worker longest, and set *since to since when (by
 * flex_clock_ms()), or InvalidOid.  It is not returned again before a worker has had time
 * to start.
 */
Oid
flex_registry_next_to_start(int64 *since)
{
	Slot *first = NULL;
	Oid database;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		Slot *slot = &registry->slots[i];

		if (needs_worker(slot) && (first == NULL || slot->not_before < first->not_before))
			first = slot;
	}
	database = first != NULL ? first->database : InvalidOid;
	if (first != NULL)
	{
		*since = first->not_before;
		first->not_before = flex_clock_ms() + START_PATIENCE_MS;
	}
	LWLockRelease(registry->lock);
	return database;
}

/* Note that no background worker slot was free.  The arguments are the results of flex_registry_next_to_start(). */
void
flex_registry_note_crowded_out(Oid database, int64 since)
{
	Slot *slot;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(database, false);
	if (slot != NULL && slot->pid == 0)
		slot->not_before = since;
	for (int i = 0; i < MAX_DATABASES; i++)
		registry->slots[i].is_crowded_out |= needs_worker(&registry->slots[i]);
	LWLockRelease(registry->lock);
}

/* Return the slot whose worker should leave: an idle one, else the one that has run longest, for turn_ms or more. */
static Slot *
next_to_leave(int64 turn_ms)
{
	Slot *next = NULL;

	Assert(LWLockHeldByMe(registry->lock));
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		Slot *slot = &registry->slots[i];

		if (slot->pid == 0 || slot->must_leave || (!slot->is_idle && flex_clock_ms() - slot->started_at < turn_ms))
			continue;
		if (next == NULL || slot->is_idle > next->is_idle ||
			(slot->is_idle == next->is_idle && slot->started_at < next->started_at))
			next = slot;
	}
	return next;
}

/* Ask as many workers to leave as databases wait for one, if they have had their turn. */
void
flex_registry_make_place(void)
{
	int waiting = 0;
	int leaving = 0;
	Slot *slot;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		waiting += needs_worker(&registry->slots[i]);
		leaving += registry->slots[i].must_leave;
	}
	while (leaving < waiting && (slot = next_to_leave(Max(ROUND_MS / (waiting + 1), LEAST_TURN_MS))) != NULL)
	{
		slot->must_leave = true;
		SetLatch(slot->latch);
		leaving++;
	}
	LWLockRelease(registry->lock);
}

/* Return true if this process, a worker, has been asked to leave. */
bool
flex_registry_must_leave(void)
{
	return look_at_slot(MyDatabaseId).must_leave;
}

/* Note whether this process, a worker, is idle. */
void
flex_registry_set_idle(bool is_idle)
{
	Slot *slot;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId, false);
	if (slot != NULL && slot->pid == MyProcPid)
		slot->is_idle = is_idle;
	LWLockRelease(registry->lock);
}

/* Note that this worker exits because it was asked to.  Another is needed after until_needed_ms, or when woken. */
void
flex_registry_leave(int64 until_needed_ms)
{
	Slot *slot;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId, false);
	if (slot != NULL && slot->pid == MyProcPid)
	{
		slot->has_left = true;
		slot->not_before = flex_clock_ms() + until_needed_ms;
	}
	LWLockRelease(registry->lock);
}

/* Return the milliseconds until flex_registry_next_to_start() may return a database; -1: not before one is woken. */
long
flex_registry_pause_ms(void)
{
	long pause = -1;

	LWLockAcquire(registry->lock, LW_SHARED);
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		const Slot *slot = &registry->slots[i];
		long left = (long) Max(slot->not_before - flex_clock_ms(), slot->is_crowded_out ? LOOK_FOR_PLACE_MS : 0) + 1;

		if (OidIsValid(slot->database) && slot->pid == 0 && !slot->barred)
			pause = pause < 0 ? left : Min(pause, left);
	}
	LWLockRelease(registry->lock);
	return pause;
}

/* Keep workers out of a database, or let them in again.  Return false if it has no slot, and so gets none anyway. */
bool
flex_registry_bar(Oid database, bool barred)
{
	Slot *slot;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(database, false);
	if (slot != NULL)
	{
		slot->barred = barred;
		slot->not_before = 0;
	}
	if (!barred && registry->launcher != NULL)
		SetLatch(registry->launcher);
	LWLockRelease(registry->lock);
	return slot != NULL;
}

/* Return true if workers are kept out of this process's database. */
bool
flex_registry_is_barred(void)
{
	return registry != NULL && look_at_slot(MyDatabaseId).barred;
}

/* Return true if a database has no worker because no background worker slot was free. */
bool
flex_registry_is_crowded_out(Oid database)
{
	return look_at_slot(database).is_crowded_out;
}

/* Return the pid of a database's worker, and set *since to when it was started; 0 if there is none. */
pid_t
flex_registry_worker_since(Oid database, TimestampTz *since)
{
	Slot slot = look_at_slot(database);

	*since = slot.since;
	return slot.pid;
}

/* Return the pid of a database's worker, or 0. */
pid_t
flex_registry_worker(Oid database)
{
	TimestampTz since;

	return flex_registry_worker_since(database, &since);
}
