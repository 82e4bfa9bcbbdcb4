/*
 * backoff.h
 *		Exponential backoff: how long to wait before the next attempt.
 */
#ifndef FLEX_BACKOFF_H
#define FLEX_BACKOFF_H

/* What is attempted again. */
typedef enum BackoffKind
{
	BACKOFF_CALL,    /* a request of a statement, which waits for it */
	BACKOFF_OUTBOX,  /* a request of the outbox */
	BACKOFF_CALLBACK /* a callback that raised an error */
} BackoffKind;

extern int64 flex_backoff_ms(BackoffKind kind, int failures);

#endif /* FLEX_BACKOFF_H */
