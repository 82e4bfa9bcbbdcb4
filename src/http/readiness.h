/*
 * readiness.h
 *		A descriptor by which another WaitEventSet can wait for our sockets, and for a time.
 *
 * It is readable while a socket that libcurl waits for is ready, and from a time on that is
 * set.  It is available on Linux only.
 */
#ifndef FLEX_READINESS_H
#define FLEX_READINESS_H

/* It is allocated in the context that was current at its creation, whose reset closes the descriptor. */
typedef struct Readiness Readiness;

extern Readiness *flex_readiness_create(void);
extern pgsocket flex_readiness_set(Readiness *readiness, int64 due_at);
extern void flex_readiness_disturb_all(void);

#endif /* FLEX_READINESS_H */
