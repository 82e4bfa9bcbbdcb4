/*
 * readiness.c
 *		A descriptor by which another WaitEventSet can wait for our sockets, and for a time.
 *
 * The executor waits for asynchronous scans in a WaitEventSet of its own, which can contain
 * a descriptor only once.  So each scan gets an epoll descriptor, which contains two others:
 * an epoll descriptor common to all ("mirror"), in which poller.c keeps the sockets that
 * libcurl waits for, and a timer of the scan.
 *
 * The mirror is opened when it is first needed, and closed along with the last Readiness,
 * so that it costs nothing while there is none.  epoll and timerfd exist on Linux only.
 */
#include "postgres.h"

#ifdef __linux__
#include <sys/epoll.h>
#include <sys/timerfd.h>
#endif
#include <unistd.h>

#include "lib/ilist.h"
#include "storage/fd.h"

#include "http/poller.h"
#include "http/readiness.h"

/* The kernel limits the number of epoll descriptors that contain another one, at this depth to a hundred. */
#define MOST_AT_ONCE 64

struct Readiness
{
	dlist_node node;
	pgsocket fd;
	pgsocket timer;
	int64 due_at; /* time (flex_clock_ms()) that the timer is set to, or PG_INT64_MAX */
	MemoryContextCallback at_end;
};

static dlist_head all = DLIST_STATIC_INIT(all);
static int all_count;
static pgsocket mirror = PGINVALID_SOCKET; /* epoll descriptor with the poller's sockets, while it is needed */

#ifdef __linux__

/*
 * Count a new descriptor as an external one of the process.  If there are too many, close
 * it and return PGINVALID_SOCKET.
 */
static pgsocket
own(pgsocket fd)
{
	if (fd == PGINVALID_SOCKET || AcquireExternalFD())
		return fd;
	close(fd);
	return PGINVALID_SOCKET;
}

/* Close a descriptor that own() has counted. */
static void
disown(pgsocket *fd)
{
	if (*fd == PGINVALID_SOCKET)
		return;
	close(*fd);
	ReleaseExternalFD();
	*fd = PGINVALID_SOCKET;
}

/* Close the descriptors of a readiness and, if it was the last one, the mirror.  Also a memory context callback. */
static void
close_readiness(void *argument)
{
	Readiness *readiness = argument;

	disown(&readiness->fd);
	disown(&readiness->timer);
	dlist_delete(&readiness->node);
	if (--all_count > 0)
		return;
	flex_poller_mirror(PGINVALID_SOCKET);
	disown(&mirror);
}

/* Open the mirror unless it is open.  Return false if that fails. */
static bool
open_mirror(void)
{
	if (mirror != PGINVALID_SOCKET)
		return true;
	mirror = own(epoll_create1(EPOLL_CLOEXEC));
	if (mirror != PGINVALID_SOCKET)
		flex_poller_mirror(mirror);
	return mirror != PGINVALID_SOCKET;
}

/* Add a descriptor to an epoll descriptor, to wait until it is readable. */
static bool
add_to_epoll(pgsocket epoll, pgsocket fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Open the descriptors of a readiness.  Return false if any of them cannot be had. */
static bool
open_readiness(Readiness *readiness)
{
	if (all_count > MOST_AT_ONCE || !open_mirror())
		return false;
	readiness->fd = own(epoll_create1(EPOLL_CLOEXEC));
	readiness->timer = own(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	return readiness->fd != PGINVALID_SOCKET && readiness->timer != PGINVALID_SOCKET &&
		   add_to_epoll(readiness->fd, mirror) && add_to_epoll(readiness->fd, readiness->timer);
}

/*
 * Set the timer.  With a time in the past it is readable at once, otherwise not until then.
 * Set it even if the time is the same as before: the timer may have expired slightly before
 * flex_clock_ms() reaches that time, and would remain readable until then.
 */
static bool
set_timer(Readiness *readiness, int64 due_at)
{
	struct itimerspec moment = {0};

	if (due_at != PG_INT64_MAX)
	{
		moment.it_value.tv_sec = due_at / 1000;
		/* Zero would disarm the timer. */
		moment.it_value.tv_nsec = Max(due_at % 1000 * 1000000, 1);
	}
	if (timerfd_settime(readiness->timer, TFD_TIMER_ABSTIME, &moment, NULL) != 0)
		return false;
	readiness->due_at = due_at;
	return true;
}

/*
 * Create a readiness in the current context.  Return NULL if no file descriptor is left, if
 * there are too many of them, or if the system is not Linux.
 */
Readiness *
flex_readiness_create(void)
{
	Readiness *readiness = palloc0(sizeof(Readiness));

	readiness->fd = PGINVALID_SOCKET;
	readiness->timer = PGINVALID_SOCKET;
	readiness->due_at = PG_INT64_MAX;
	dlist_push_tail(&all, &readiness->node);
	all_count++;
	if (open_readiness(readiness))
	{
		readiness->at_end = (MemoryContextCallback){.func = close_readiness, .arg = readiness};
		MemoryContextRegisterResetCallback(CurrentMemoryContext, &readiness->at_end);
		return readiness;
	}
	close_readiness(readiness);
	pfree(readiness);
	return NULL;
}

/*
 * Set the time (flex_clock_ms(); 0 for now) from which on the descriptor is readable even if
 * no socket is ready.  Return the descriptor, or PGINVALID_SOCKET if a system call failed.
 */
pgsocket
flex_readiness_set(Readiness *readiness, int64 due_at)
{
	Assert(readiness->fd != PGINVALID_SOCKET);
	return set_timer(readiness, due_at) && flex_poller_mirror_is_whole() ? readiness->fd : PGINVALID_SOCKET;
}

/*
 * Make all descriptors readable until they are set anew.  To be called after libcurl has
 * processed events: it may have ended a transfer on whose behalf another scan waits, and
 * the socket will not be ready any more.
 */
void
flex_readiness_disturb_all(void)
{
	dlist_iter iter;

	dlist_foreach(iter, &all)
	{
		Readiness *readiness = dlist_container(Readiness, node, iter.cur);

		if (readiness->due_at != 0)
			(void) set_timer(readiness, 0);
	}
}

#else

Readiness *
flex_readiness_create(void)
{
	return NULL;
}

pgsocket
flex_readiness_set(Readiness *readiness, int64 due_at)
{
	return PGINVALID_SOCKET;
}

void
flex_readiness_disturb_all(void)
{
}

#endif
