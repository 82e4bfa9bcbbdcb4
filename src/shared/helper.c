/*
 * helper.c
 *		Background workers that a process starts for itself.
 *
 * The two have a segment of dynamic shared memory in common, which needs no
 * preloading: a structure that both know, and a queue in which the helper's errors
 * and warnings come, as those of parallel workers do.  Each wakes the other by its
 * latch.  A helper is told to end when its starter ends.
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
#define LOOK_AGAIN_MS 1000

/* The beginning of the segment; the shared structure and the queue follow. */
typedef struct Segment
{
	PGPROC *starter;
	Latch *volatile latch;  /* of the helper; NULL before it has attached */
	volatile bool must_end; /* at once: its starter has no use for it any more */
	Size queue_at;          /* from the beginning of the segment */
} Segment;

struct Helper
{
	dlist_node node;
	MemoryContext context; /* that this is in */
	dsm_segment *mapping;
	Segment *segment;
	shm_mq_handle *queue;
	BackgroundWorkerHandle *handle;
	bool is_silent;   /* nothing more comes in the queue */
	ErrorData *error; /* that has ended it; NULL: none */
};

static dlist_head helpers = DLIST_STATIC_INIT(helpers);

/* Fill in what all our workers have in common. */
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

/* How many helpers this process has; *with_pid is set if one of them is this process. */
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
 * How many of max_worker_processes are free, for all one can see.  Helpers that have
 * been started a moment ago are not yet listed by the server.
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

/* This process ends: its helpers must, too. */
static void
end_helpers(int code, Datum argument)
{
	dlist_iter iter;

	dlist_foreach(iter, &helpers)
	{
		TerminateBackgroundWorker(dlist_container(Helper, node, iter.cur)->handle);
	}
}

/* Lay the segment out; returns its queue. */
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

/* Forget a helper. */
static void
forget(Helper *helper)
{
	if (helper->mapping != NULL)
		dsm_detach(helper->mapping);
	MemoryContextDelete(helper->context);
}

/* Have the postmaster start it; false when no slot is free. */
static bool
start(Helper *helper, BackgroundWorker *worker, const void *share, Size size)
{
	shm_mq *queue;

	helper->mapping =
		dsm_create(MAXALIGN(sizeof(Segment)) + MAXALIGN(size) + QUEUE_BYTES, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	if (helper->mapping == NULL)
		return false;
	/* It outlives the transaction. */
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
 * Start a helper, which gets a copy of a structure to share.  NULL when no slot
 * is free.  It lives until flex_helper_end().
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
	/* Until now an error would have let go of it. */
	MemoryContextSetParent(context, TopMemoryContext);
	dlist_push_tail(&helpers, &helper->node);
	return helper;
}

/* The structure that is shared with it. */
void *
flex_helper_share(const Helper *helper)
{
	return (char *) helper->segment + MAXALIGN(sizeof(Segment));
}

/* Set its latch; one that has not begun yet will look by itself. */
void
flex_helper_wake(const Helper *helper)
{
	Latch *latch = helper->segment->latch;

	if (latch != NULL)
		SetLatch(latch);
}

/* Keep an error; pass a warning on to the client, for the helper has logged it. */
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

/* Take what has come in the queue. */
static void
take_messages(Helper *helper)
{
	shm_mq_result result;
	Size length;
	void *data;

	while ((result = shm_mq_receive(helper->queue, &length, &data, true)) == SHM_MQ_SUCCESS)
	{
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

/* True when the postmaster has nothing of it any more. */
static bool
is_gone(const Helper *helper)
{
	pid_t pid;
	BgwHandleStatus status = GetBackgroundWorkerPid(helper->handle, &pid);

	return status == BGWH_STOPPED || status == BGWH_POSTMASTER_DIED;
}

/* Take what the helper says; true when it has ended. */
bool
flex_helper_has_ended(Helper *helper)
{
	if (!helper->is_silent)
		take_messages(helper);
	return helper->is_silent && is_gone(helper);
}

/* The error that has ended it, of level ERROR; NULL: there was none.  It lasts as long as the helper. */
ErrorData *
flex_helper_error(const Helper *helper)
{
	return helper->error;
}

/* Wait for its end, for some time, or until this process is interrupted itself. */
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
	/* What has set it may not have been the helper. */
	SetLatch(MyLatch);
}

/* End a helper if it has not ended, wait for that for some time, and forget it. */
void
flex_helper_end(Helper *helper, long patience_ms)
{
	dlist_delete(&helper->node);
	/* Nobody listens any more: it need not wait for that. */
	shm_mq_detach(helper->queue);
	if (!is_gone(helper))
	{
		helper->segment->must_end = true;
		TerminateBackgroundWorker(helper->handle);
		wait_for_end(helper, patience_ms);
	}
	forget(helper);
}

static Segment *volatile own; /* of this process, if it is a helper */

/* It is about to be unmapped: signal handlers must not look into it any more. */
static void
forget_own(dsm_segment *mapping, Datum argument)
{
	own = NULL;
}

/*
 * In a helper: find what it shares, from the argument of its main function, and
 * send its errors and warnings there.  Ends when nobody is there any more.
 */
void *
flex_helper_attach(Datum argument)
{
	dsm_segment *mapping = dsm_attach(DatumGetUInt32(argument));
	shm_mq *queue;

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

/* In a helper: set its starter's latch. */
void
flex_helper_wake_starter(void)
{
	SetLatch(&own->starter->procLatch);
}

/* True in a helper that its starter ends. */
bool
flex_helper_must_end(void)
{
	return own != NULL && own->must_end;
}

/*
 * End this process if the postmaster is dead.  A wait would tell it; one that always has
 * something to do, and so does not wait, would go on in a server that is dead, and keep the
 * next one from being started.
 */
void
flex_helper_check_server(void)
{
	if (!PostmasterIsAlive())
		proc_exit(1);
}
