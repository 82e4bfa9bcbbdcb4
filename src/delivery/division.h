/*
 * division.h
 *		How senders that send side by side divide new requests among them.
 */
#ifndef FLEX_DIVISION_H
#define FLEX_DIVISION_H

#include "outbox/claims.h"

/* A request that some sender has. */
typedef struct ClaimedRequest
{
	int64 id;
	uint64 enqueued_xid;
} ClaimedRequest;

typedef struct Division
{
	MemoryContext context;
	int senders;             /* that had claims at the last look, this one included; 0: unknown */
	int rank;                /* of this one among them, from 0 on */
	int64 noted_ms;          /* flex_clock_ms() of that look */
	ClaimedRequest *claimed; /* what they had, by id */
	int claimed_count;
	int claimed_room;
} Division;

extern void flex_division_note(Division *division, const LiveClaim *live, int count);
extern int flex_division_senders(const Division *division);
extern int flex_division_most(const Division *division, int want);
extern bool flex_division_is_ours(const Division *division, int64 id);
extern bool flex_division_is_claimed(const Division *division, int64 id, uint64 enqueued_xid);

#endif /* FLEX_DIVISION_H */
