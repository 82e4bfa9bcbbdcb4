/*
 * claims.h
 *		Requests of the outbox that senders have claimed.
 */
#ifndef FLEX_CLAIMS_H
#define FLEX_CLAIMS_H

#include "datatype/timestamp.h"

#include "outbox/claim.h"
#include "outbox/lane_rows.h"

/* A process that claims requests.  No two processes have the same PID and start time. */
typedef struct SenderProcess
{
	int pid;
	TimestampTz start;
} SenderProcess;

/* A request in a claim.  The claim is void once the request's own turn has reached this turn. */
typedef struct LiveClaim
{
	uint64 claimed_in;
	SenderProcess sender;
	TimestampTz claimed_at;
	int64 request;
	int turn;
	uint64 enqueued_xid;
} LiveClaim;

/* A row of flex_outbox_claims: all that one transaction has claimed. */
typedef struct ClaimRow
{
	uint64 id; /* the transaction */
	SenderProcess sender;
} ClaimRow;

extern Claim *flex_claims_lock(Datum *requests, int request_count, bool is_over, int *count);
extern LiveClaim *flex_claims_live(const Mark *from, int *count);
extern int64 *flex_claims_unlocked(Datum *requests, int request_count, int *count);
extern void flex_claims_make(Claim *claims, int count);
extern int flex_claims_end(const uint64 *transactions, int count, bool checked);
extern ClaimRow *flex_claim_rows(const Mark *from, int *count);
extern Claim *flex_claims_take_over(const ClaimRow *row, int *count);

#endif /* FLEX_CLAIMS_H */
