/*
 * drain_worker.h
 *		A background worker that drains the outbox for a session.
 */
#ifndef FLEX_DRAIN_WORKER_H
#define FLEX_DRAIN_WORKER_H

#include "delivery/in_flight.h"

/* What it shares with the session. */
typedef struct DrainShare
{
	Oid database;
	int64 max_requests;
	bool is_done;          /* it ended well */
	DeliveryCounts counts; /* for the session to tell; it may see some that are newer than others */
} DrainShare;

#endif /* FLEX_DRAIN_WORKER_H */
