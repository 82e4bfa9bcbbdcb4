/*
 * connection.c
 *		The sockets of connections to the service, and whether they have unread input.
 *
 * In HTTP/1 an answer does not identify its request: whatever is received next on the
 * connection is taken for the answer.  Therefore a connection on which unrequested bytes
 * have arrived must not be used, and transfer.c checks that here before it sends.
 *
 * libcurl does not tell on which socket a request is about to be sent, only the local
 * port.  Two connections to different addresses may have the same local port; then no
 * socket is found, and a kept connection is not used.
 *
 * These functions are called from libcurl's callbacks and must not raise errors.
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
	bool is_multiplexed; /* it has been used for HTTP/2 */
	bool has_failed;     /* an answer was lost on it */
	int port;            /* local port; 0 if not known yet */
	int users;           /* number of requests whose answers are outstanding on it */
	void *ssl;           /* its SSL object if OpenSSL reads ahead, else NULL */
} Connection;

static Connection *connections; /* array indexed by file descriptor, malloc'd */
static int connections_size;
static int reading_ahead; /* number of connections with an ssl */

/* Enlarge the array to contain a descriptor.  Return false if out of memory. */
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

/* Set the SSL object of a connection on which OpenSSL reads ahead, or NULL. */
static void
set_ssl(Connection *connection, void *ssl)
{
	reading_ahead += (ssl != NULL) - (connection->ssl != NULL);
	connection->ssl = ssl;
}

/* Open a socket.  Return PGINVALID_SOCKET, with errno set, if that fails. */
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
	/* libcurl may have closed a former socket of this number without telling us. */
	set_ssl(&connections[fd], NULL);
	connections[fd] = (Connection){.is_open = true};
	return fd;
}

/* Close a socket that flex_connection_open() returned.  Return the result of close(). */
int
flex_connection_close(pgsocket fd)
{
	Assert(fd >= 0 && fd < connections_size && connections[fd].is_open);
	set_ssl(&connections[fd], NULL);
	connections[fd] = (Connection){0};
	return flex_poller_close(fd);
}

/* Return the local port of a connection, or 0 if it is not connected yet. */
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

/* Return the connection with this local port; PGINVALID_SOCKET if there is none, or more than one. */
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
 * Have the kernel send a delayed acknowledgment now.  The other host may hold back further
 * bytes until it gets one (Nagle's algorithm).  If it got the acknowledgment only with our
 * request, those bytes would arrive just after the request and look like its answer.
 */
static void
acknowledge(pgsocket fd)
{
#ifdef TCP_QUICKACK
	int once = 2; /* even: now only; an odd number would also disable delayed acknowledgments from now on */

	(void) setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &once, sizeof(once));
#endif
}

/*
 * Return true if a connection has no unread input in the kernel, and has not been closed by
 * the other side.  Input that the TLS library has already read is not seen here.
 */
static bool
is_silent(pgsocket fd)
{
	char byte;

	acknowledge(fd);
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/*
 * Return true if a request may be sent on a kept connection: no answer was lost on it, and
 * it has no unread input that would be taken for the answer.
 *
 * may_share tells that the request may use HTTP/2, where unread input does no harm because
 * each answer identifies its request.  has_read tells that the TLS library has read bytes
 * which libcurl has not fetched.
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
 * Enable or disable reading ahead by OpenSSL on the connection on which a request is about
 * to be sent.  fd may be PGINVALID_SOCKET; reading ahead is disabled then.
 */
void
flex_connection_read_ahead(pgsocket fd, void *ssl, bool yes)
{
	yes &= fd != PGINVALID_SOCKET;
	flex_tls_read_ahead(ssl, yes);
	if (fd != PGINVALID_SOCKET)
		set_ssl(&connections[fd], yes ? ssl : NULL);
}

/*
 * Return a connection with an outstanding answer of which OpenSSL has read bytes that
 * libcurl can fetch, or PGINVALID_SOCKET.
 */
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

/* Note that a connection is used for HTTP/2. */
void
flex_connection_mark_multiplexed(pgsocket fd)
{
	Assert(connections[fd].is_open);
	connections[fd].is_multiplexed = true;
}

/* Note that a request is about to be sent on a connection. */
void
flex_connection_join(pgsocket fd)
{
	Assert(connections[fd].is_open);
	connections[fd].users++;
	flex_poller_note_connected(fd);
}

/*
 * Note that the answer to a request has been received, or is given up.  The connection may
 * have been closed by now, and its descriptor may even belong to another one.  is_lost
 * keeps other requests from being sent on it: libcurl closes a connection of HTTP/1 then,
 * but not one of HTTP/2.
 */
void
flex_connection_leave(pgsocket fd, bool is_lost)
{
	if (connections[fd].users > 0)
		connections[fd].users--;
	connections[fd].has_failed |= is_lost;
}

/* Return how many of the bytes sent the other side has not acknowledged yet; 0 if the kernel cannot tell. */
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
