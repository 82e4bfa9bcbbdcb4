/*
 * drain_worker.h
 *		A background worker that drains the outbox for a session.
 */
#ifndef FLEX_DRAIN_WORKER_H
#define FLEX_DRAIN_WORKER_H

/* What it shares with the session. */
typedef struct DrainShare
{
	Oid database;
	int64 max_requests;
	bool is_done; /* it ended well */
} DrainShare;

#endif /* FLEX_DRAIN_WORKER_H */
