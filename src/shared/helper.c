/*
 * helper.c
 *		Background workers that a process starts for itself.
 *
 * The starting process (the starter) and its helper share a segment of dynamic shared
 * memory, which does not require the library to be preloaded.  It holds a structure whose
 * layout the caller chooses, and a message queue by which the helper reports its errors
 * and warnings, as a parallel worker does.  Each process wakes the other by its latch.
 * When the starter exits, it terminates its helpers.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "base/compat.h"
#include "shared/helper.h"

#define QUEUE_BYTES 16384
#define LOOK_AGAIN_MS 1000 /* between two looks whether a helper has ended */

/* Header of the segment.  The caller's structure and the queue follow it, each MAXALIGN'd. */
typedef struct Segment
{
	PGPROC *starter;
	Latch *volatile latch;  /* the helper's; NULL before it has attached */
	volatile bool must_end; /* the starter wants the helper to end without its shutdown grace */
	Size queue_at;          /* offset of the queue in the segment */
} Segment;

struct Helper
{
	dlist_node node;
	MemoryContext context; /* holds this structure; child of TopMemoryContext once it runs */
	dsm_segment *mapping;
	Segment *segment;
	shm_mq_handle *queue;
	BackgroundWorkerHandle *handle;
	bool is_silent;   /* the queue is detached: no more messages will come */
	ErrorData *error; /* the error that ended the helper, or NULL */
};

/* The helpers that this process has started and not yet given to flex_helper_end(). */
static dlist_head helpers = DLIST_STATIC_INIT(helpers);

/* Set the fields of a BackgroundWorker that all background workers of this library have in common. */
void
flex_helper_describe(BackgroundWorker *worker, const char *name, const char *type, const char *function)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	strlcpy(worker->bgw_name, name, sizeof(worker->bgw_name));
	strlcpy(worker->bgw_type, type, sizeof(worker->bgw_type));
	strlcpy(worker->bgw_library_name, "flex_api", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function, sizeof(worker->bgw_function_name));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
}

/*
 * Return the number of helpers that this process has.  Set *with_pid to true if one of
 * them has the given process ID; otherwise leave it alone.
 */
static int
count_helpers(pid_t process, bool *with_pid)
{
	dlist_iter iter;
	int count = 0;

	dlist_foreach(iter, &helpers)
	{
		pid_t pid;

		if (GetBackgroundWorkerPid(dlist_container(Helper, node, iter.cur)->handle, &pid) == BGWH_STARTED &&
			pid == process)
			*with_pid = true;
		count++;
	}
	return count;
}

/*
 * Estimate how many of max_worker_processes are unused.  The number is not exact: the
 * server counts background workers by their pg_stat_activity entries, in which a worker
 * appears only after it has started.  Our own helpers are therefore counted from our list.
 */
int
flex_helper_free_slots(void)
{
	bool is_own;
	int used = count_helpers(0, &is_own);
	int count;

	pgstat_clear_backend_activity_snapshot();
	count = pgstat_fetch_stat_numbackends();
	for (int i = 1; i <= count; i++)
	{
		const LocalPgBackendStatus *entry = flex_local_backend_entry(i);

		if (entry == NULL || entry->backendStatus.st_procpid == 0 || entry->backendStatus.st_backendType != B_BG_WORKER)
			continue;
		is_own = false;
		(void) count_helpers(entry->backendStatus.st_procpid, &is_own);
		used += is_own ? 0 : 1;
	}
	return max_worker_processes - used;
}

/* before_shmem_exit callback: terminate the helpers of this process. */
static void
end_helpers(int code, Datum argument)
{
	dlist_iter iter;

	dlist_foreach(iter, &helpers)
	{
		TerminateBackgroundWorker(dlist_container(Helper, node, iter.cur)->handle);
	}
}

/* Initialize the segment with a copy of the caller's structure, and return its queue, of which we are the receiver. */
static shm_mq *
lay_out(Helper *helper, const void *share, Size size)
{
	Segment *segment = dsm_segment_address(helper->mapping);
	shm_mq *queue;

	segment->starter = MyProc;
	segment->latch = NULL;
	segment->must_end = false;
	segment->queue_at = MAXALIGN(sizeof(Segment)) + MAXALIGN(size);
	memcpy((char *) segment + MAXALIGN(sizeof(Segment)), share, size);
	queue = shm_mq_create((char *) segment + segment->queue_at, QUEUE_BYTES);
	shm_mq_set_receiver(queue, MyProc);
	helper->segment = segment;
	return queue;
}

/* Detach the segment and free the memory of a helper. */
static void
forget(Helper *helper)
{
	if (helper->mapping != NULL)
		dsm_detach(helper->mapping);
	MemoryContextDelete(helper->context);
}

/*
 * Create the segment and register the worker.  Return false if no slot for a segment or
 * a background worker is free.
 */
static bool
start(Helper *helper, BackgroundWorker *worker, const void *share, Size size)
{
	shm_mq *queue;

	helper->mapping =
		dsm_create(MAXALIGN(sizeof(Segment)) + MAXALIGN(size) + QUEUE_BYTES, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	if (helper->mapping == NULL)
		return false;
	/* The mapping must outlive the transaction, at whose end its resource owner would detach it. */
	dsm_pin_mapping(helper->mapping);
	queue = lay_out(helper, share, size);
	worker->bgw_main_arg = UInt32GetDatum(dsm_segment_handle(helper->mapping));
	worker->bgw_notify_pid = MyProcPid;
	if (!RegisterDynamicBackgroundWorker(worker, &helper->handle))
		return false;
	helper->queue = shm_mq_attach(queue, helper->mapping, helper->handle);
	return true;
}

/*
 * Start a background worker as a helper of this process, sharing a copy of the caller's
 * structure of the given size with it.  Return NULL if no slot is free.  The helper is
 * allocated in TopMemoryContext, and the caller must pass it to flex_helper_end().
 */
Helper *
flex_helper_start(const BackgroundWorker *worker, const void *share, Size size)
{
	static bool registered = false;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "flex_api helper", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	BackgroundWorker copy = *worker;
	Helper *helper = palloc0(sizeof(Helper));
	bool started;

	if (!registered)
		before_shmem_exit(end_helpers, (Datum) 0);
	registered = true;
	helper->context = context;
	started = start(helper, &copy, share, size);
	MemoryContextSwitchTo(before);
	if (!started)
	{
		forget(helper);
		return NULL;
	}
	/* Only now: after an ERROR in start() the caller's context would have freed it. */
	MemoryContextSetParent(context, TopMemoryContext);
	dlist_push_tail(&helpers, &helper->node);
	return helper;
}

/* Return the structure that is shared with a helper. */
void *
flex_helper_share(const Helper *helper)
{
	return (char *) helper->segment + MAXALIGN(sizeof(Segment));
}

/* Set a helper's latch.  A helper that has not attached yet needs no waking: it will read the shared structure then. */
void
flex_helper_wake(const Helper *helper)
{
	Latch *latch = helper->segment->latch;

	if (latch != NULL)
		SetLatch(latch);
}

/*
 * Process one message of the helper, which is allocated in the current memory context
 * along with whatever is parsed from it.  An error is kept for flex_helper_error(); a
 * warning is sent to the client only, because the helper has written it to the log.
 */
static void
take_message(Helper *helper, StringInfo message)
{
	char type = (char) pq_getmsgbyte(message);
	ErrorData error;

	if (type != 'E' && type != 'N')
		return;
	pq_parse_errornotice(message, &error);
	if (error.elevel >= ERROR)
	{
		helper->error = palloc(sizeof(ErrorData));
		*helper->error = error;
		helper->error->elevel = ERROR;
		return;
	}
	error.elevel = WARNING_CLIENT_ONLY;
	ThrowErrorData(&error);
}

/* Process all messages that are in the queue, without waiting. */
static void
take_messages(Helper *helper)
{
	shm_mq_result result;
	Size length;
	void *data;

	while ((result = shm_mq_receive(helper->queue, &length, &data, true)) == SHM_MQ_SUCCESS)
	{
		/* An error must live as long as the helper. */
		bool is_error = length > 0 && *(char *) data == 'E';
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "flex_api message", ALLOCSET_SMALL_SIZES);
		MemoryContext before = MemoryContextSwitchTo(is_error ? helper->context : context);
		StringInfoData message;

		initStringInfo(&message);
		appendBinaryStringInfo(&message, data, (int) length);
		take_message(helper, &message);
		MemoryContextSwitchTo(before);
		MemoryContextDelete(context);
	}
	helper->is_silent = result == SHM_MQ_DETACHED;
}

/* Return true if the helper's process has exited, or its state is unknown because the postmaster is dead. */
static bool
is_gone(const Helper *helper)
{
	pid_t pid;
	BgwHandleStatus status = GetBackgroundWorkerPid(helper->handle, &pid);

	return status == BGWH_STOPPED || status == BGWH_POSTMASTER_DIED;
}

/* Process the helper's messages.  Return true if it has ended and all of them have been read. */
bool
flex_helper_has_ended(Helper *helper)
{
	if (!helper->is_silent)
		take_messages(helper);
	return helper->is_silent && is_gone(helper);
}

/*
 * Return the error that ended the helper, or NULL.  Its level is ERROR even if the helper
 * raised FATAL.  It is valid until flex_helper_end().
 */
ErrorData *
flex_helper_error(const Helper *helper)
{
	return helper->error;
}

/*
 * Wait until the helper has exited, the time is over, or an interrupt of this process is
 * pending.  The interrupt is left to the caller, who may be cleaning up.
 */
static void
wait_for_end(const Helper *helper, long patience_ms)
{
	int64 deadline = flex_clock_ms() + patience_ms;

	while (!is_gone(helper) && flex_clock_ms() < deadline && !QueryCancelPending && !ProcDiePending)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_AGAIN_MS,
						 flex_wait_event("FlexApiHelperExit"));
		ResetLatch(MyLatch);
	}
	/* The latch may have been set for another reason, which our caller has yet to see. */
	SetLatch(MyLatch);
}

/* Terminate a helper if it still runs, wait up to patience_ms for it to exit, and free it. */
void
flex_helper_end(Helper *helper, long patience_ms)
{
	dlist_delete(&helper->node);
	/* So that the helper does not wait for room in a queue that nobody reads. */
	shm_mq_detach(helper->queue);
	if (!is_gone(helper))
	{
		helper->segment->must_end = true;
		TerminateBackgroundWorker(helper->handle);
		wait_for_end(helper, patience_ms);
	}
	forget(helper);
}

static Segment *volatile own; /* the segment, if this process is a helper; else NULL */

/* on_dsm_detach callback: the segment is about to be unmapped, and signal handlers must not read it any more. */
static void
forget_own(dsm_segment *mapping, Datum argument)
{
	own = NULL;
}

/*
 * In a helper: attach to the starter's segment, given the argument of the worker's main
 * function, and redirect errors and warnings into its queue.  Return the shared
 * structure.  If the starter is gone, and the segment with it, exit the process.
 */
void *
flex_helper_attach(Datum argument)
{
	dsm_segment *mapping = dsm_attach(DatumGetUInt32(argument));
	shm_mq *queue;

	Assert(own == NULL);
	if (mapping == NULL)
		proc_exit(0);
	own = dsm_segment_address(mapping);
	on_dsm_detach(mapping, forget_own, (Datum) 0);
	queue = (shm_mq *) ((char *) own + own->queue_at);
	shm_mq_set_sender(queue, MyProc);
	pq_redirect_to_shm_mq(mapping, shm_mq_attach(queue, mapping, NULL));
	own->latch = MyLatch;
	return (char *) own + MAXALIGN(sizeof(Segment));
}

/* In a helper: set the starter's latch. */
void
flex_helper_wake_starter(void)
{
	Assert(own != NULL);
	SetLatch(&own->starter->procLatch);
}

/* Return true in a helper that its starter has told to end at once.  Safe in a signal handler. */
bool
flex_helper_must_end(void)
{
	return own != NULL && own->must_end;
}

/*
 * Exit if the postmaster is dead.  Waits with WL_EXIT_ON_PM_DEATH do so by themselves, but
 * a worker that is never idle does not wait: it would outlive its postmaster, and the
 * shared memory that it holds would keep a new one from starting.
 */
void
flex_helper_check_server(void)
{
	if (!PostmasterIsAlive())
		proc_exit(1);
}
