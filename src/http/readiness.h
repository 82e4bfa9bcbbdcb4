/*
 * readiness.h
 *		A descriptor by which others can wait for our sockets and for a moment.
 *
 * It is readable while one of the sockets that libcurl waits for is ready, and from
 * the moment on that it is set to.  Only Linux has what that takes; elsewhere none is given.
 */
#ifndef FLEX_READINESS_H
#define FLEX_READINESS_H

/* It lives in the context that it was made in, whose end closes the descriptor. */
typedef struct Readiness Readiness;

extern Readiness *flex_readiness_create(void);
extern pgsocket flex_readiness_set(Readiness *readiness, int64 due_at);
extern void flex_readiness_disturb_all(void);

#endif /* FLEX_READINESS_H */
