/*
 * claims.h
 *		Requests of the outbox that senders have claimed.
 */
#ifndef FLEX_CLAIMS_H
#define FLEX_CLAIMS_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "outbox/lane_rows.h"

/* A request that this process has claimed. */
typedef struct Claim
{
	int64 id;
	int lane;
	char *operation;
	Jsonb *arguments; /* NULL: not read, because they are not needed */
	Jsonb *context;   /* reduced to identifiers; NULL: none, or not read, because it will not be reduced */
	int attempts;     /* this one included */
	int max_attempts;
	Oid role;
	char *account_sid; /* or NULL */
	char *server;      /* "": none; NULL: this process's */
	bool on_success;   /* it has such a callback */
	bool on_failure;
	bool was_answered;      /* the service has answered its last attempt */
	bool was_unauthorized;  /* ... with status 401 */
	bool may_be_done;       /* an earlier attempt, whose answer was lost, may have been carried out */
	int turn;               /* the turn of this claim: the request's own turn + 1, until it is settled */
	uint64 enqueued_xid;    /* the transaction that enqueued it */
	uint64 claimed_in;      /* the transaction that claimed it: the id of the claim's row */
	TimestampTz started_at; /* the time of the claim */
	TimestampTz held_since; /* since when it has waited for an operator; 0: it has not */
	bool foreign;           /* was enqueued in another database: must not be sent */
	int role_id;
	char *ordering_key;     /* or NULL */
	TimestampTz expires_at; /* 0: it does not expire */
	bool is_over;           /* it was claimed because it had expired */
	char *last_error;       /* the error message of the last attempt, if it has expired; or NULL */
	bool is_to_be_reduced;  /* reduce it when it ends: flex_api.outbox_keep at the time of the claim */
	int priority;           /* read only when a claim is taken over, to find the lane */
} Claim;

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
extern bool flex_claim_has_expired(const Claim *claim);
extern int flex_claims_end(const uint64 *transactions, int count, bool checked);
extern ClaimRow *flex_claim_rows(const Mark *from, int *count);
extern Claim *flex_claims_take_over(const ClaimRow *row, int *count);

#endif /* FLEX_CLAIMS_H */
