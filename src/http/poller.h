/*
 * poller.h
 *		Waiting for libcurl's sockets and the process's latch, by a WaitEventSet.
 */
#ifndef FLEX_POLLER_H
#define FLEX_POLLER_H

/* A socket that is ready for some of the events that were waited for. */
typedef struct ReadySocket
{
	pgsocket fd;
	uint32 events; /* WL_SOCKET_* */
} ReadySocket;

#define MAX_READY 64

/* The kind of a wait.  Since PostgreSQL 17 pg_stat_activity shows a wait event for each. */
typedef enum WaitKind
{
	WAIT_FOR_CONNECTION, /* no request has been sent yet */
	WAIT_FOR_ANSWER,
	WAIT_FOR_RATE,   /* flex_api.rate_limits allows no request at present */
	WAIT_FOR_REPEAT, /* a request that failed will be sent again later */
	WAIT_KINDS
} WaitKind;

extern int flex_poller_capacity(void);
extern pgsocket flex_poller_open(int family, int type, int protocol);
extern int flex_poller_close(pgsocket fd);
extern void flex_poller_note_connected(pgsocket fd);
extern bool flex_poller_watch(pgsocket fd, uint32 events, bool lasting);
extern void flex_poller_mirror(int epoll);
extern bool flex_poller_mirror_is_whole(void);
extern int flex_poller_wait(long timeout_ms, WaitKind kind, ReadySocket ready[MAX_READY], bool *latch_was_set);

#endif /* FLEX_POLLER_H */
