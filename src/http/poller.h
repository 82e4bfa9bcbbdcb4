/*
 * poller.h
 *		Waits for sockets the way a backend waits: on its latch, too.
 */
#ifndef FLEX_POLLER_H
#define FLEX_POLLER_H

/* A socket on which something that was asked for can be done. */
typedef struct ReadySocket
{
	pgsocket fd;
	uint32 events; /* WL_SOCKET_* */
} ReadySocket;

#define MAX_READY 64

/* What for, as pg_stat_activity tells it from 17 on. */
typedef enum WaitKind
{
	WAIT_FOR_CONNECTION, /* nothing has been sent */
	WAIT_FOR_ANSWER,
	WAIT_FOR_RATE,   /* flex_api.rate_limits allows nothing now */
	WAIT_FOR_REPEAT, /* what has failed is sent again later */
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
