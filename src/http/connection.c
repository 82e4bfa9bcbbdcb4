/*
 * connection.c
 *		The sockets of connections to the service, and what lies on them.
 *
 * HTTP/1 has nothing in an answer that names its request: the next bytes on the
 * connection are the answer.  So a connection on which something has come that
 * nobody asked for must not be used, and the transfer looks before it sends.
 *
 * libcurl does not tell which socket a request is about to go out on, only the
 * local port.  Two connections to different addresses may have the same; then
 * it is not certain which is meant, and none is found.
 *
 * These functions are called from libcurl's callbacks and raise no error.
 */
#include "postgres.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#ifdef __linux__
#include <linux/sockios.h>
#endif

#include "http/connection.h"
#include "http/poller.h"
#include "http/tls.h"

typedef struct Connection
{
	bool is_open;
	bool is_multiplexed; /* it has carried HTTP/2 */
	bool has_failed;     /* an answer was lost on it */
	int port;            /* local; 0: not known yet */
	int users;           /* requests that wait for their answers on it */
	void *ssl;           /* OpenSSL's, which reads ahead; NULL: nothing does */
} Connection;

static Connection *connections; /* by file descriptor */
static int connections_size;
static int reading_ahead; /* connections with an ssl */

/* Make room for a descriptor; false when memory is out. */
static bool
make_room(pgsocket fd)
{
	int size = Max(connections_size, 64);
	Connection *more;

	if (fd < connections_size)
		return true;
	while (size <= fd)
		size *= 2;
	more = realloc(connections, sizeof(Connection) * size);
	if (more == NULL)
		return false;
	memset(more + connections_size, 0, sizeof(Connection) * (size - connections_size));
	connections = more;
	connections_size = size;
	return true;
}

/* Note OpenSSL's object of a connection that reads ahead, or NULL. */
static void
set_ssl(Connection *connection, void *ssl)
{
	reading_ahead += (ssl != NULL) - (connection->ssl != NULL);
	connection->ssl = ssl;
}

/* Open a socket; PGINVALID_SOCKET with errno when it cannot be had. */
pgsocket
flex_connection_open(int family, int type, int protocol)
{
	pgsocket fd = flex_poller_open(family, type, protocol);

	if (fd == PGINVALID_SOCKET)
		return fd;
	if (!make_room(fd))
	{
		(void) flex_poller_close(fd);
		errno = ENOMEM;
		return PGINVALID_SOCKET;
	}
	set_ssl(&connections[fd], NULL); /* if it is still known, it was closed without a word */
	connections[fd] = (Connection){.is_open = true};
	return fd;
}

/* Close a socket that flex_connection_open() gave. */
int
flex_connection_close(pgsocket fd)
{
	Assert(connections[fd].is_open);
	set_ssl(&connections[fd], NULL);
	connections[fd] = (Connection){0};
	return flex_poller_close(fd);
}

/* The local port of a connection, 0 while it has none. */
static int
local_port_of(pgsocket fd)
{
	union
	{
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage room;
	} address = {0};
	socklen_t length = sizeof(address);

	if (connections[fd].port == 0 && getsockname(fd, &address.any, &length) == 0)
		connections[fd].port = ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
	return connections[fd].port;
}

/* The one connection with this local port, or PGINVALID_SOCKET. */
pgsocket
flex_connection_find(int local_port)
{
	pgsocket found = PGINVALID_SOCKET;

	for (pgsocket fd = 0; fd < connections_size; fd++)
	{
		if (!connections[fd].is_open || local_port_of(fd) != local_port)
			continue;
		if (found != PGINVALID_SOCKET)
			return PGINVALID_SOCKET;
		found = fd;
	}
	return found;
}

/*
 * Acknowledge what has come, at once.  The other host may hold bytes back until
 * then (Nagle's algorithm), and our kernel would acknowledge with the request:
 * they would come right behind it, as its answer does.
 */
static void
acknowledge(pgsocket fd)
{
#ifdef TCP_QUICKACK
	int once = 2; /* an odd number would make it acknowledge each later segment by itself, too */

	(void) setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &once, sizeof(once));
#endif
}

/*
 * True when nothing has come on a connection, not even its end.  What a TLS
 * library has read already does not show.
 */
static bool
is_silent(pgsocket fd)
{
	char byte;

	acknowledge(fd);
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/*
 * True when a request may go out on a kept connection: no answer was lost on it, and
 * nothing lies on it that would be taken for the answer, for it has come before the
 * request.  Of HTTP/2, which is for requests that may share, each answer says whose it
 * is.  has_read: the TLS library has read more than it was asked for.
 */
bool
flex_connection_is_fit(pgsocket fd, bool may_share, bool has_read)
{
	const Connection *connection = &connections[fd];

	Assert(fd < connections_size && connection->is_open);
	if (connection->has_failed)
		return false;
	if (may_share && (connection->is_multiplexed || connection->users > 0))
		return true;
	return !has_read && is_silent(fd);
}

/*
 * A request goes out on a connection of OpenSSL's that reads ahead, or does not; fd may be
 * PGINVALID_SOCKET, for which nothing does.
 */
void
flex_connection_read_ahead(pgsocket fd, void *ssl, bool yes)
{
	yes &= fd != PGINVALID_SOCKET;
	flex_tls_read_ahead(ssl, yes);
	if (fd != PGINVALID_SOCKET)
		set_ssl(&connections[fd], yes ? ssl : NULL);
}

/* A connection with an answer of which more has been read than was fetched, or PGINVALID_SOCKET. */
pgsocket
flex_connection_with_more(void)
{
	for (pgsocket fd = 0; reading_ahead > 0 && fd < connections_size; fd++)
	{
		if (connections[fd].ssl != NULL && connections[fd].users > 0 && flex_tls_has_more(connections[fd].ssl))
			return fd;
	}
	return PGINVALID_SOCKET;
}

/* A connection turns out to carry HTTP/2. */
void
flex_connection_mark_multiplexed(pgsocket fd)
{
	Assert(connections[fd].is_open);
	connections[fd].is_multiplexed = true;
}

/* A request goes out on a connection. */
void
flex_connection_join(pgsocket fd)
{
	Assert(connections[fd].is_open);
	connections[fd].users++;
	flex_poller_note_connected(fd);
}

/*
 * Its answer has come, or is not waited for any longer; the connection may be closed, and
 * its number another's.  is_lost: no other request may go out on it, if it is one of
 * HTTP/2, which stays open then.
 */
void
flex_connection_leave(pgsocket fd, bool is_lost)
{
	if (connections[fd].users > 0)
		connections[fd].users--;
	connections[fd].has_failed |= is_lost;
}

/* How many of the bytes sent has the other side not acknowledged yet?  0 also where the kernel does not tell. */
int
flex_connection_unacknowledged(pgsocket fd)
{
	int bytes = 0;

#ifdef SIOCOUTQ
	if (ioctl(fd, SIOCOUTQ, &bytes) < 0)
		return 0;
#endif
	return bytes;
}
