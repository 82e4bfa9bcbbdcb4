/*
 * roster.c
 *		Shared memory: which database has a worker, and whom to wake.
 *
 * Exists only where flex_api is in shared_preload_libraries.  A slot is a
 * database in which there may be something to send.  The launcher starts a
 * worker for each slot that has none; who commits a request wakes the worker,
 * or the launcher where there is none yet.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "clock.h"
#include "roster.h"

#define MAX_DATABASES 256
#define RESTART_PAUSE_MS 1000   /* before a worker that ended is started again */
#define START_PATIENCE_MS 10000 /* for a worker that was asked for to sign on */

typedef struct Slot
{
	Oid database;     /* InvalidOid: unused */
	pid_t pid;        /* of the worker; 0: none */
	Latch *latch;     /* of the worker */
	bool woken;       /* since the worker looked last */
	bool barred;      /* the database is being dropped or copied */
	int64 not_before; /* flex_clock_ms(): when a worker may be started */
} Slot;

typedef struct Roster
{
	LWLock *lock;
	Latch *launcher;
	bool was_full; /* a database has found no slot, and the log says so */
	Slot slots[MAX_DATABASES];
	Buckets buckets;
} Roster;

static Roster *roster;
static shmem_request_hook_type previous_request_hook;
static shmem_startup_hook_type previous_startup_hook;

static void
request_memory(void)
{
	if (previous_request_hook != NULL)
		previous_request_hook();
	RequestAddinShmemSpace(sizeof(Roster));
	RequestNamedLWLockTranche("flex_api", 1);
}

static void
set_up_memory(void)
{
	bool found;

	if (previous_startup_hook != NULL)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	roster = ShmemInitStruct("flex_api", sizeof(Roster), &found);
	if (!found)
	{
		memset(roster, 0, sizeof(Roster));
		roster->lock = &GetNamedLWLockTranche("flex_api")->lock;
		SpinLockInit(&roster->buckets.lock);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Ask for the memory, while the postmaster starts. */
void
flex_roster_request(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = set_up_memory;
}

/* True where we are preloaded, and so have workers. */
bool
flex_roster_exists(void)
{
	return roster != NULL;
}

/* The shared buckets, or NULL. */
Buckets *
flex_roster_buckets(void)
{
	return roster != NULL ? &roster->buckets : NULL;
}

/* The slot of a database; with create, a new one if need be.  The lock is held. */
static Slot *
find_slot(Oid database, bool create)
{
	Slot *unused = NULL;

	for (int i = 0; i < MAX_DATABASES; i++)
	{
		Slot *slot = &roster->slots[i];

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
flex_roster_wake(Oid database)
{
	Slot *slot;
	bool is_news;

	if (roster == NULL)
		return;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	slot = find_slot(database, true);
	is_news = slot == NULL && !roster->was_full;
	roster->was_full |= slot == NULL;
	if (slot != NULL)
		slot->woken = true;
	if (slot != NULL && slot->pid != 0)
		SetLatch(slot->latch);
	else if (roster->launcher != NULL)
		SetLatch(roster->launcher);
	LWLockRelease(roster->lock);
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
flex_roster_was_woken(void)
{
	Slot *slot;
	bool woken;

	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId, false);
	woken = slot != NULL && slot->woken;
	if (woken)
		slot->woken = false;
	LWLockRelease(roster->lock);
	return woken;
}

static void
sign_off_launcher(int code, Datum argument)
{
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	roster->launcher = NULL;
	LWLockRelease(roster->lock);
}

/* This process is the launcher, until it ends. */
void
flex_roster_sign_on_launcher(void)
{
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	roster->launcher = &MyProc->procLatch;
	LWLockRelease(roster->lock);
	before_shmem_exit(sign_off_launcher, (Datum) 0);
}

/* The worker ends: the launcher may start another, after a pause. */
static void
sign_off_worker(int code, Datum argument)
{
	Slot *slot;

	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId, false);
	if (slot != NULL && slot->pid == MyProcPid)
	{
		slot->pid = 0;
		slot->latch = NULL;
		slot->not_before = flex_clock_ms() + RESTART_PAUSE_MS;
		if (roster->launcher != NULL)
			SetLatch(roster->launcher);
	}
	LWLockRelease(roster->lock);
}

/* This process is its database's worker; false when there is one, or must be none. */
bool
flex_roster_sign_on_worker(void)
{
	Slot *slot;
	bool free;

	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId, true);
	free = slot != NULL && slot->pid == 0 && !slot->barred;
	if (free)
	{
		slot->pid = MyProcPid;
		slot->latch = &MyProc->procLatch;
	}
	LWLockRelease(roster->lock);
	if (free)
		before_shmem_exit(sign_off_worker, (Datum) 0);
	return free;
}

/*
 * A database needs no worker any more, until flex_roster_wake().  Who was woken
 * in the meantime keeps the slot: the launcher starts another worker there.
 */
void
flex_roster_close(Oid database)
{
	Slot *slot;

	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	slot = find_slot(database, false);
	if (slot != NULL && !slot->barred && !(slot->pid == MyProcPid && slot->woken) &&
		(slot->pid == 0 || slot->pid == MyProcPid))
		*slot = (Slot){.database = InvalidOid};
	LWLockRelease(roster->lock);
}

/*
 * A database that needs a worker now, InvalidOid when there is none.  It is not
 * named again before the worker has had time to sign on.
 */
Oid
flex_roster_next_to_start(void)
{
	Oid database = InvalidOid;

	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_DATABASES && !OidIsValid(database); i++)
	{
		Slot *slot = &roster->slots[i];

		if (!OidIsValid(slot->database) || slot->pid != 0 || slot->barred || slot->not_before > flex_clock_ms())
			continue;
		slot->not_before = flex_clock_ms() + START_PATIENCE_MS;
		database = slot->database;
	}
	LWLockRelease(roster->lock);
	return database;
}

/* Milliseconds until flex_roster_next_to_start() may name one; -1: never by itself. */
long
flex_roster_pause_ms(void)
{
	long pause = -1;

	LWLockAcquire(roster->lock, LW_SHARED);
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		const Slot *slot = &roster->slots[i];
		long left = (long) Max(slot->not_before - flex_clock_ms(), 0) + 1;

		if (OidIsValid(slot->database) && slot->pid == 0 && !slot->barred)
			pause = pause < 0 ? left : Min(pause, left);
	}
	LWLockRelease(roster->lock);
	return pause;
}

/*
 * Keep workers out of a database, or let them in again.  False for a database
 * in which none would be started anyway.
 */
bool
flex_roster_bar(Oid database, bool barred)
{
	Slot *slot;

	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	slot = find_slot(database, false);
	if (slot != NULL)
	{
		slot->barred = barred;
		slot->not_before = 0;
	}
	if (!barred && roster->launcher != NULL)
		SetLatch(roster->launcher);
	LWLockRelease(roster->lock);
	return slot != NULL;
}

/* True when workers are kept out of this process's database. */
bool
flex_roster_is_barred(void)
{
	Slot *slot;
	bool barred;

	LWLockAcquire(roster->lock, LW_SHARED);
	slot = find_slot(MyDatabaseId, false);
	barred = slot != NULL && slot->barred;
	LWLockRelease(roster->lock);
	return barred;
}

/* The worker's process in a database, or 0. */
pid_t
flex_roster_worker(Oid database)
{
	Slot *slot;
	pid_t pid = 0;

	LWLockAcquire(roster->lock, LW_SHARED);
	slot = find_slot(database, false);
	if (slot != NULL)
		pid = slot->pid;
	LWLockRelease(roster->lock);
	return pid;
}
