/*
 * connection.h
 *		The sockets of connections to the service, and whether they have unread input.
 */
#ifndef FLEX_CONNECTION_H
#define FLEX_CONNECTION_H

extern pgsocket flex_connection_open(int family, int type, int protocol);
extern int flex_connection_close(pgsocket fd);
extern pgsocket flex_connection_find(int local_port);
extern bool flex_connection_is_fit(pgsocket fd, bool may_share, bool has_read);
extern void flex_connection_read_ahead(pgsocket fd, void *ssl, bool yes);
extern pgsocket flex_connection_with_more(void);
extern void flex_connection_mark_multiplexed(pgsocket fd);
extern void flex_connection_join(pgsocket fd);
extern void flex_connection_leave(pgsocket fd, bool is_lost);
extern int flex_connection_unacknowledged(pgsocket fd);

#endif /* FLEX_CONNECTION_H */
