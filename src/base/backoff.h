/*
 * backoff.h
 *		How long to wait before what has failed is tried again.
 */
#ifndef FLEX_BACKOFF_H
#define FLEX_BACKOFF_H

/* What is tried again. */
typedef enum BackoffKind
{
	BACKOFF_CALL,    /* a direct call, while somebody waits for it */
	BACKOFF_OUTBOX,  /* a request of the outbox */
	BACKOFF_CALLBACK /* a callback that raised an error */
} BackoffKind;

extern int64 flex_backoff_ms(BackoffKind kind, int failures);

#endif /* FLEX_BACKOFF_H */
