/*
 * registry.c
 *		Shared memory: which database has a worker, and whom to wake.
 *
 * Exists only where flex_api is in shared_preload_libraries.  A slot is a
 * database in which there may be something to send.  The launcher starts a
 * worker for each slot that has none; a commit of a request wakes the worker, or
 * the launcher where there is none yet.
 *
 * Where max_worker_processes has no place for a worker, the databases take turns: the
 * launcher asks as many workers to leave as databases wait, one that has nothing to do
 * first, else the one that has been there longest.  It comes back when its turn has come
 * and there is something to do.
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
#define RESTART_PAUSE_MS 1000   /* before a worker that ended is started again */
#define START_PATIENCE_MS 10000 /* for a worker that was asked for to sign on */
#define LOOK_FOR_PLACE_MS 500   /* between two looks whether there is a place for a worker */
#define ROUND_MS 4000           /* in which all have a turn, if they leave when they are asked to */
#define LEAST_TURN_MS 200

typedef struct Slot
{
	Oid database;        /* InvalidOid: unused */
	pid_t pid;           /* of the worker; 0: none */
	TimestampTz since;   /* when it began */
	Latch *latch;        /* of the worker */
	bool woken;          /* since the worker looked last */
	bool barred;         /* the database is being dropped or copied */
	int64 not_before;    /* flex_clock_ms(): when a worker may be started */
	int64 started_at;    /* the same: when the worker began */
	bool is_idle;        /* the worker waits for something to do */
	bool must_leave;     /* it has been asked to, for others */
	bool has_left;       /* it was, and comes back when it is woken, or at not_before */
	bool is_crowded_out; /* there was no place for a worker */
	/* A transaction that was prepared by then may hold requests; 0: none does. */
	TimestampTz prepared_at;
} Slot;

typedef struct Registry
{
	LWLock *lock;
	Latch *launcher;
	bool was_full; /* a database has found no slot, and the log says so */
	Slot slots[MAX_DATABASES];
} Registry;

static Registry *registry;

/* The bytes of shared memory that it takes, beside a lock. */
Size
flex_registry_size(void)
{
	return MAXALIGN(sizeof(Registry));
}

/* The memory is there, which is_new, or another process has made it ready. */
void
flex_registry_set_up(void *memory, LWLock *lock, bool is_new)
{
	registry = memory;
	if (!is_new)
		return;
	memset(registry, 0, sizeof(Registry));
	registry->lock = lock;
}

/* True where we are preloaded, and so have workers. */
bool
flex_registry_exists(void)
{
	return registry != NULL;
}

/* The slot of a database; with create, a new one if need be.  The lock is held. */
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

/* There is something to send in a database: wake its worker, or have one started. */
void
flex_registry_wake(Oid database)
{
	Slot *slot;
	bool is_news;

	if (registry == NULL)
		return;
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	slot = find_slot(database, true);
	is_news = slot == NULL && !registry->was_full;
	registry->was_full |= slot == NULL;
	if (slot != NULL)
		slot->woken = true;
	if (slot != NULL && slot->has_left)
		slot->not_before = Min(slot->not_before, flex_clock_ms());
	if (slot != NULL && slot->pid != 0)
		SetLatch(slot->latch);
	else if (registry->launcher != NULL)
		SetLatch(registry->launcher);
	LWLockRelease(registry->lock);
	if (is_news)
		ereport(LOG, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					  errmsg("no Flex API outbox worker can be started for database %u", database),
					  errdetail("There are workers for %d databases at most. This is not logged again.", MAX_DATABASES),
					  errhint("CALL flex_outbox_drain() in such databases.")));
}

/*
 * True when this process's database was woken since it was last asked.  The latch
 * alone does not tell: whatever else we wait for, a lock or a standby, resets it.
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
 * A transaction has been prepared that leaves requests in a database.  One without a
 * slot has no worker to be told, nor an extension yet.
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

/* A copy of a database's slot, empty where it has none. */
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

/* When the last transaction was prepared that may hold requests of this process's database; 0: none does. */
TimestampTz
flex_registry_prepared_at(void)
{
	return look_at_slot(MyDatabaseId).prepared_at;
}

/* Those that were prepared by then are over; one may have been prepared since. */
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

static void
sign_off_launcher(int code, Datum argument)
{
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	registry->launcher = NULL;
	LWLockRelease(registry->lock);
}

/* This process is the launcher, until it ends. */
void
flex_registry_sign_on_launcher(void)
{
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	Assert(registry->launcher == NULL);
	registry->launcher = &MyProc->procLatch;
	LWLockRelease(registry->lock);
	before_shmem_exit(sign_off_launcher, (Datum) 0);
}

/* The worker ends: the launcher may start another, after a pause. */
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

/* This process is its database's worker; false when there is one, or must be none. */
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
		/* Prepared transactions outlive a restart; this memory does not. */
		slot->prepared_at = GetCurrentTimestamp();
	}
	LWLockRelease(registry->lock);
	if (is_free)
		before_shmem_exit(sign_off_worker, (Datum) 0);
	return is_free;
}

/*
 * A database needs no worker any more, until flex_registry_wake().  A worker that was
 * woken in the meantime keeps the slot: the launcher starts another one there.
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

/* True when a slot needs a worker that has not been asked for. */
static bool
needs_worker(const Slot *slot)
{
	return OidIsValid(slot->database) && slot->pid == 0 && !slot->barred && slot->not_before <= flex_clock_ms();
}

/*
 * A database that needs a worker now, that which has for longest, InvalidOid when there
 * is none; *since is set to when it needed one first.  It is not named again before the
 * worker has had time to sign on.
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

/* There was no place for the worker of a database, which has needed one since then; nor is there one for others'. */
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

/* The worker that has to leave for another database: one that does nothing, else that which has been there longest. */
static Slot *
next_to_leave(int64 turn_ms)
{
	Slot *next = NULL;

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

/* Ask as many workers to leave as databases have found no place, if they have had their turn. */
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

/* True when this process, a worker, has to leave for another database's. */
bool
flex_registry_must_leave(void)
{
	return look_at_slot(MyDatabaseId).must_leave;
}

/* This process, a worker, waits for something to do, or goes on. */
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

/* This process, a worker, leaves for others; another is needed after so many milliseconds, or when it is woken. */
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

/* Milliseconds until flex_registry_next_to_start() may name one; -1: never by itself. */
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

/*
 * Keep workers out of a database, or let them in again.  False for a database
 * in which none would be started anyway.
 */
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

/* True when workers are kept out of this process's database. */
bool
flex_registry_is_barred(void)
{
	return registry != NULL && look_at_slot(MyDatabaseId).barred;
}

/* True when a database has no worker, for there is no place for one. */
bool
flex_registry_is_crowded_out(Oid database)
{
	return look_at_slot(database).is_crowded_out;
}

/* The worker's process in a database, and when it began; or 0. */
pid_t
flex_registry_worker_since(Oid database, TimestampTz *since)
{
	Slot slot = look_at_slot(database);

	*since = slot.since;
	return slot.pid;
}

/* The worker's process in a database, or 0. */
pid_t
flex_registry_worker(Oid database)
{
	TimestampTz since;

	return flex_registry_worker_since(database, &since);
}
