/*
 * poller.c
 *		Waits for sockets the way a backend waits: on its latch, too.
 *
 * A WaitEventSet cannot let a socket go, and making one costs more than a
 * request on a kept connection should.  So the set stays as long as its sockets
 * do: one that nobody waits for now stays in it, silent, and the set is made
 * anew when a socket was closed, or speaks without being asked.
 *
 * The functions that say what to wait for are called from libcurl's callbacks,
 * which no error may leave: they only take notes, and flex_poller_wait() acts.
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
#define FIRST_CAPACITY 8 /* sockets that a set has room for at first */
#define OTHERS 8         /* descriptors that the server's own wait sets have, and ours */

typedef struct Socket
{
	uint32 wanted;     /* WL_SOCKET_*, 0: nothing now */
	uint32 registered; /* what the set waits for, while in it */
	int position;      /* in the set, or NOT_IN_SET */
	bool noted;        /* in notes */
	bool ours;         /* opened by flex_poller_open() */
	bool connected;    /* ... and libcurl closes it by flex_poller_close() alone */
	bool lasting;      /* not closed before the process ends */
} Socket;

static Socket *sockets; /* by file descriptor */
static pgsocket *notes; /* those whose wishes have changed */
static int notes_count;
static int sockets_size;

static WaitEventSet *wait_set;
static int set_capacity;  /* sockets that fit */
static int set_count;     /* sockets that are in it */
static bool set_is_stale; /* has a socket that must go */

static int mirror = -1;      /* an epoll descriptor with the sockets that are wanted; -1: nobody needs it */
static bool mirror_is_whole; /* all of them are in it */

/* Make room for a descriptor; false when memory is out. */
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

/* The socket is closed: its number may mean another soon. */
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
 * Open a socket that is counted among the server's files, and closed on exec.
 * PGINVALID_SOCKET with errno when it cannot be had.
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
	forget(fd); /* if it is still known, it was closed without a word */
	sockets[fd].ours = true;
	return fd;
}

/* How many sockets can be open at once: the server keeps two thirds of a process's files for tables. */
int
flex_poller_capacity(void)
{
	return Max(max_safe_fds / 3 - OTHERS, 1);
}

/* Close a socket that flex_poller_open() gave. */
int
flex_poller_close(pgsocket fd)
{
	forget(fd);
	return close(fd);
}

/* A connection stands on a socket of ours. */
void
flex_poller_note_connected(pgsocket fd)
{
	Assert(fd < sockets_size && sockets[fd].ours);
	sockets[fd].connected = true;
}

/* True while a socket of ours is open, to be asked where libcurl may have closed it without a word. */
static bool
is_open(pgsocket fd)
{
	return sockets[fd].ours && (sockets[fd].connected || fcntl(fd, F_GETFD) >= 0);
}

/*
 * Have the mirror wait for events on a socket, or let it go; false when that fails.  A
 * socket that was closed has left it already, and its number may mean another by now.
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

/*
 * From now on keep in an epoll descriptor, too, what is waited for; -1: no more of it.
 */
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

/* False when a socket is missing there: it cannot be relied on. */
bool
flex_poller_mirror_is_whole(void)
{
	return mirror_is_whole;
}

/*
 * Wait for events (WL_SOCKET_*) on a socket from now on, or for none of it.
 * Raises nothing; false when memory is out.
 *
 * Only a socket of ours that is still open, or a lasting one, may stay in the
 * set while nobody waits for it: libcurl closes those of its resolver, and one
 * that never got connected, without a word.
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

/* Put a socket that is wanted into the set. */
static void
add_to_set(pgsocket fd)
{
	Socket *socket = &sockets[fd];

	Assert(socket->position == NOT_IN_SET && set_count < set_capacity);
	socket->position = AddWaitEventToSet(wait_set, socket->wanted, fd, NULL, NULL);
	socket->registered = socket->wanted;
	set_count++;
}

/* Make the set anew, with the sockets that are wanted now. */
static void
rebuild_set(void)
{
	int wanted = 0;

	/* Until all of it is done. */
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

/* Bring the set in step with what is wanted. */
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

/* Name of what a backend waits for here, in pg_stat_activity. */
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
 * Wait until the latch is set, a socket is ready, or the time is over; the
 * latch is reset.  Returns how many sockets are ready.  Exits when the
 * postmaster has died; the caller looks for interrupts.
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
			if (sockets[events[i].fd].wanted == 0)
				set_is_stale = true;
			else
				ready[count++] = (ReadySocket){.fd = events[i].fd, .events = events[i].events};
		}
	}
	return count;
}
