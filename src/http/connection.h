/*
 * connection.h
 *		The sockets of connections to the service, and what lies on them.
 */
#ifndef FLEX_CONNECTION_H
#define FLEX_CONNECTION_H

extern pgsocket flex_connection_open(int family, int type, int protocol);
extern int flex_connection_close(pgsocket fd);
extern pgsocket flex_connection_find(int local_port);
extern bool flex_connection_is_silent(pgsocket fd);
extern bool flex_connection_is_shared(pgsocket fd);
extern void flex_connection_mark_multiplexed(pgsocket fd);
extern void flex_connection_mark_failed(pgsocket fd);
extern bool flex_connection_has_failed(pgsocket fd);
extern void flex_connection_join(pgsocket fd);
extern void flex_connection_leave(pgsocket fd);
extern int flex_connection_unacknowledged(pgsocket fd);

#endif /* FLEX_CONNECTION_H */
