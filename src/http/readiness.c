/*
 * readiness.c
 *		A descriptor by which others can wait for our sockets and for a moment.
 *
 * The executor waits for several asynchronous scans in a WaitEventSet of its own,
 * in which a descriptor can stand only once.  So each gets an epoll descriptor with
 * two others in it: an epoll descriptor of the process, in which the poller keeps the
 * sockets that libcurl waits for, and a timer.  All of it is made when it is first
 * asked for, and closed with the last of them: waiting by the poller alone costs
 * nothing more.
 *
 * Only Linux has what is needed.
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

/* The kernel lets no socket wake more than a hundred in one set, at this depth. */
#define MOST_AT_ONCE 64

struct Readiness
{
	dlist_node node;
	pgsocket fd;
	pgsocket timer;
	int64 due_at; /* flex_clock_ms() that the timer is set to; PG_INT64_MAX: none */
	MemoryContextCallback at_end;
};

static dlist_head all = DLIST_STATIC_INIT(all);
static int all_count;
static pgsocket mirror = PGINVALID_SOCKET; /* of the poller's sockets, while there are any of us */

#ifdef __linux__

/* Count a new descriptor among the server's, or close it when there are too many; PGINVALID_SOCKET then. */
static pgsocket
own(pgsocket fd)
{
	if (fd == PGINVALID_SOCKET || AcquireExternalFD())
		return fd;
	close(fd);
	return PGINVALID_SOCKET;
}

/* Close a descriptor that was counted. */
static void
disown(pgsocket *fd)
{
	if (*fd == PGINVALID_SOCKET)
		return;
	close(*fd);
	ReleaseExternalFD();
	*fd = PGINVALID_SOCKET;
}

/* Close what was opened, by the end of the memory context as well. */
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

/* Open the mirror, if this is the first that needs it. */
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

/* Put a descriptor into an epoll descriptor. */
static bool
add_to_epoll(pgsocket epoll, pgsocket fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Open all that a readiness needs. */
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
 * Set the timer; a moment that is over makes it readable at once, another silences it.
 * It is set also to the moment that it has: the kernel may have called a little before
 * our clock shows it, and would go on calling until then.
 */
static bool
set_timer(Readiness *readiness, int64 due_at)
{
	struct itimerspec moment = {0};

	if (due_at != PG_INT64_MAX)
	{
		moment.it_value.tv_sec = due_at / 1000;
		/* All zero would mean none. */
		moment.it_value.tv_nsec = Max(due_at % 1000 * 1000000, 1);
	}
	if (timerfd_settime(readiness->timer, TFD_TIMER_ABSTIME, &moment, NULL) != 0)
		return false;
	readiness->due_at = due_at;
	return true;
}

/* A readiness, or NULL when it cannot be had: no descriptor is left, there are too many of them, or it is no Linux. */
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
 * The descriptor, readable from a moment of flex_clock_ms() on, 0 being now, or when a
 * socket is ready.  PGINVALID_SOCKET when the kernel has refused that.
 */
pgsocket
flex_readiness_set(Readiness *readiness, int64 due_at)
{
	Assert(readiness->fd != PGINVALID_SOCKET);
	return set_timer(readiness, due_at) && flex_poller_mirror_is_whole() ? readiness->fd : PGINVALID_SOCKET;
}

/*
 * libcurl has done something: what it has done may be an end that another waits for, and
 * no socket tells of it any more.  All are readable until they are set anew.
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
