/*
 * division.h
 *		Divides new requests among senders that run at the same time.
 */
#ifndef FLEX_DIVISION_H
#define FLEX_DIVISION_H

#include "outbox/claims.h"

/* A request that some sender has claimed. */
typedef struct ClaimedRequest
{
	int64 id;
	uint64 enqueued_xid;
} ClaimedRequest;

typedef struct Division
{
	MemoryContext context;
	int senders;             /* number of senders at the last look, including this one; 0 if unknown */
	int rank;                /* of this one among them, counted from 0 */
	bool has_changed;        /* senders or rank, since flex_division_take_change() */
	int64 noted_ms;          /* flex_clock_ms() of that look */
	ClaimedRequest *claimed; /* the requests that were claimed, ordered by id */
	int claimed_count;
	int claimed_room;
} Division;

extern void flex_division_note(Division *division, const LiveClaim *live, int count);
extern bool flex_division_is_alone(const Division *division);
extern bool flex_division_take_change(Division *division);
extern int flex_division_senders(const Division *division);
extern int flex_division_most(const Division *division, int want);
extern bool flex_division_is_ours(const Division *division, int64 id);
extern bool flex_division_is_claimed(const Division *division, int64 id, uint64 enqueued_xid);

#endif /* FLEX_DIVISION_H */
