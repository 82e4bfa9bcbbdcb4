/*
 * poller.c
 *		Waiting for libcurl's sockets and the process's latch, by a WaitEventSet.
 *
 * A socket cannot be removed from a WaitEventSet, and to create a set for each wait would
 * be a large part of the cost of a request on a kept connection.  So one set is kept.  A
 * socket that is not waited for at present stays in it, as long as it has no events.  The
 * set is rebuilt when a socket in it was closed, or had an event that is not waited for.
 *
 * The functions that change what is waited for are called from libcurl's callbacks, where
 * no error may be raised.  Therefore they only take notes of the changes, in memory from
 * malloc; flex_poller_wait() applies them to the set.
 */
#include "postgres.h"

#include <fcntl.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif
#include <sys/socket.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "http/poller.h"

#define NOT_IN_SET (-1)
#define FIRST_CAPACITY 8 /* minimum capacity of the set, in sockets */
#define OTHERS 8         /* descriptors used by other wait event sets of the server, and ours */

typedef struct Socket
{
	uint32 wanted;     /* events to wait for (WL_SOCKET_*), 0 for none at present */
	uint32 registered; /* events that the set waits for; valid if it is in the set */
	int position;      /* in the set, or NOT_IN_SET */
	bool noted;        /* is in notes */
	bool ours;         /* opened by flex_poller_open() */
	bool connected;    /* is ours and connected, so libcurl closes it by flex_poller_close() only */
	bool lasting;      /* not ours, but stays open as long as libcurl's multi handle */
} Socket;

static Socket *sockets; /* array indexed by file descriptor, malloc'd */
static pgsocket *notes; /* sockets whose wanted may differ from registered; array of the same size */
static int notes_count;
static int sockets_size;

static WaitEventSet *wait_set;
static int set_capacity;  /* in sockets */
static int set_count;     /* number of sockets in the set */
static bool set_is_stale; /* the set must be rebuilt */

static int mirror = -1;      /* epoll descriptor that contains the wanted sockets, if one is needed; else -1 */
static bool mirror_is_whole; /* no wanted socket is missing in it */

/* Enlarge the arrays to contain a descriptor.  Return false if out of memory. */
static bool
make_room(pgsocket fd)
{
	int size = Max(sockets_size, 64);
	Socket *more_sockets;
	pgsocket *more_notes;

	if (fd < sockets_size)
		return true;
	while (size <= fd)
		size *= 2;
	more_sockets = realloc(sockets, sizeof(Socket) * size);
	if (more_sockets == NULL)
		return false;
	sockets = more_sockets;
	more_notes = realloc(notes, sizeof(pgsocket) * size);
	if (more_notes == NULL)
		return false;
	notes = more_notes;
	for (; sockets_size < size; sockets_size++)
		sockets[sockets_size] = (Socket){.position = NOT_IN_SET};
	return true;
}

/* Forget a socket that is closed; its number may be reused. */
static void
forget(pgsocket fd)
{
	if (sockets[fd].ours)
		ReleaseExternalFD();
	sockets[fd].ours = false;
	sockets[fd].connected = false;
	sockets[fd].lasting = false;
	sockets[fd].wanted = 0;
	if (sockets[fd].position != NOT_IN_SET)
	{
		sockets[fd].position = NOT_IN_SET;
		set_is_stale = true;
	}
}

/*
 * Open a socket, counted as an external file descriptor and closed on exec.  Return
 * PGINVALID_SOCKET, with errno set, if that fails.
 */
pgsocket
flex_poller_open(int family, int type, int protocol)
{
	pgsocket fd;

	if (!AcquireExternalFD())
		return PGINVALID_SOCKET;
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	if (fd == PGINVALID_SOCKET || !make_room(fd))
	{
		int reason = errno;

		if (fd != PGINVALID_SOCKET)
			close(fd);
		ReleaseExternalFD();
		errno = reason;
		return PGINVALID_SOCKET;
	}
	forget(fd); /* libcurl may have closed a former socket of this number without telling us */
	sockets[fd].ours = true;
	return fd;
}

/* Return how many sockets can be open at once.  AcquireExternalFD() grants a third of the file descriptors. */
int
flex_poller_capacity(void)
{
	return Max(max_safe_fds / 3 - OTHERS, 1);
}

/* Close a socket that flex_poller_open() returned.  Return the result of close(). */
int
flex_poller_close(pgsocket fd)
{
	forget(fd);
	return close(fd);
}

/* Note that a socket opened by flex_poller_open() is connected. */
void
flex_poller_note_connected(pgsocket fd)
{
	Assert(fd < sockets_size && sockets[fd].ours);
	sockets[fd].connected = true;
}

/*
 * Return true if a socket is ours and still open.  If it never got connected, libcurl may
 * have closed it without telling us, so ask the kernel.
 */
static bool
is_open(pgsocket fd)
{
	return sockets[fd].ours && (sockets[fd].connected || fcntl(fd, F_GETFD) >= 0);
}

/*
 * Set the events that the mirror waits for on a socket; 0 removes it.  Return false on
 * failure.  The kernel removes a closed socket by itself, and its number may be reused.
 */
static bool
show_in_mirror(pgsocket fd, uint32 events)
{
#ifdef __linux__
	struct epoll_event event = {.data.fd = fd};

	if (events & WL_SOCKET_READABLE)
		event.events |= EPOLLIN;
	if (events & WL_SOCKET_WRITEABLE)
		event.events |= EPOLLOUT;
	if (events == 0)
		return epoll_ctl(mirror, EPOLL_CTL_DEL, fd, &event) == 0 || errno == ENOENT || errno == EBADF;
	return epoll_ctl(mirror, EPOLL_CTL_ADD, fd, &event) == 0 ||
		   (errno == EEXIST && epoll_ctl(mirror, EPOLL_CTL_MOD, fd, &event) == 0);
#else
	return false;
#endif
}

/* Register all wanted sockets in an epoll descriptor, from now on until called with -1. */
void
flex_poller_mirror(int epoll)
{
	mirror = epoll;
	mirror_is_whole = true;
	for (int fd = 0; mirror >= 0 && fd < sockets_size; fd++)
	{
		if (sockets[fd].wanted != 0)
			mirror_is_whole &= show_in_mirror(fd, sockets[fd].wanted);
	}
}

/* Return false if a wanted socket could not be registered in the mirror, which must not be waited for then. */
bool
flex_poller_mirror_is_whole(void)
{
	return mirror_is_whole;
}

/*
 * Set the events (WL_SOCKET_*) to wait for on a socket from now on; 0 for none.  lasting
 * tells that a socket which is not ours stays open as long as libcurl's multi handle.
 * Return false if out of memory; no error is raised.
 *
 * A socket that is not waited for may stay in the set only if it is ours and still open,
 * or lasting.  Others, such as those of its resolver, libcurl closes without telling us.
 */
bool
flex_poller_watch(pgsocket fd, uint32 events, bool lasting)
{
	if (!make_room(fd))
		return false;
	if (mirror >= 0)
		mirror_is_whole &= show_in_mirror(fd, events);
	sockets[fd].lasting = lasting && !sockets[fd].ours;
	if (events == 0 && !sockets[fd].lasting && !is_open(fd))
	{
		forget(fd);
		return true;
	}
	sockets[fd].wanted = events;
	if (!sockets[fd].noted)
	{
		Assert(notes_count < sockets_size);
		sockets[fd].noted = true;
		notes[notes_count++] = fd;
	}
	return true;
}

/* Add a wanted socket to the set, which must have room. */
static void
add_to_set(pgsocket fd)
{
	Socket *socket = &sockets[fd];

	Assert(socket->position == NOT_IN_SET && set_count < set_capacity);
	socket->position = AddWaitEventToSet(wait_set, socket->wanted, fd, NULL, NULL);
	socket->registered = socket->wanted;
	set_count++;
}

/* Create the set anew, with the sockets that are wanted now. */
static void
rebuild_set(void)
{
	int wanted = 0;

	/* In case of an error below. */
	set_is_stale = true;

	for (int fd = 0; fd < sockets_size; fd++)
	{
		sockets[fd].position = NOT_IN_SET;
		sockets[fd].noted = false;
		wanted += sockets[fd].wanted != 0;
	}
	notes_count = 0;
	if (wait_set != NULL)
		FreeWaitEventSet(wait_set);
	wait_set = NULL;
	set_count = 0;
	set_capacity = Max(FIRST_CAPACITY, wanted * 2);
	wait_set = flex_create_wait_event_set(set_capacity + 2);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	if (IsUnderPostmaster)
		AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int fd = 0; fd < sockets_size; fd++)
	{
		if (sockets[fd].wanted != 0)
			add_to_set(fd);
	}
	set_is_stale = false;
}

/* Apply the noted changes to the set, or mark it as stale if it has no room. */
static void
follow_notes(void)
{
	while (notes_count > 0 && !set_is_stale)
	{
		pgsocket fd = notes[notes_count - 1];
		Socket *socket = &sockets[fd];

		if (socket->wanted != 0 && socket->position == NOT_IN_SET && set_count == set_capacity)
			set_is_stale = true;
		else if (socket->wanted != 0 && socket->position == NOT_IN_SET)
			add_to_set(fd);
		else if (socket->wanted != 0 && socket->wanted != socket->registered)
		{
			ModifyWaitEvent(wait_set, socket->position, socket->wanted, NULL);
			socket->registered = socket->wanted;
		}
		socket->noted = false;
		notes_count--;
	}
}

/* Return the wait event to show in pg_stat_activity. */
static uint32
wait_event(WaitKind kind)
{
	static const char *const names[WAIT_KINDS] = {"FlexApiConnect", "FlexApiAnswer", "FlexApiRate", "FlexApiRepeat"};
	static uint32 wait_events[WAIT_KINDS];

	if (wait_events[kind] == 0)
		wait_events[kind] = flex_wait_event(names[kind]);
	return wait_events[kind];
}

/*
 * Wait until the latch is set, a socket is ready, or the time is over.  Fill ready[] and
 * return the number of its elements.  If the latch was set it is reset, and the caller must
 * check for interrupts.  Exit the process if the postmaster has died.
 */
int
flex_poller_wait(long timeout_ms, WaitKind kind, ReadySocket ready[MAX_READY], bool *latch_was_set)
{
	WaitEvent events[MAX_READY];
	int occurred;
	int count = 0;

	*latch_was_set = false;
	if (wait_set != NULL)
		follow_notes();
	if (wait_set == NULL || set_is_stale)
		rebuild_set();
	occurred = WaitEventSetWait(wait_set, timeout_ms, events, MAX_READY, wait_event(kind));
	for (int i = 0; i < occurred; i++)
	{
		if (events[i].events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			*latch_was_set = true;
		}
		else if (events[i].events & WL_SOCKET_MASK)
		{
			/* An event that is not waited for would be reported again and again: remove the socket. */
			if (sockets[events[i].fd].wanted == 0)
				set_is_stale = true;
			else
				ready[count++] = (ReadySocket){.fd = events[i].fd, .events = events[i].events};
		}
	}
	return count;
}
