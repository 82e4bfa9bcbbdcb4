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
	Jsonb *arguments; /* NULL: not known, as they are not needed */
	Jsonb *context;   /* or NULL; known only where it may have to be reduced, and has been */
	int attempts;     /* this one included */
	int max_attempts;
	Oid role;
	char *account_sid; /* or NULL */
	char *server;      /* "": none; NULL: this process's */
	bool on_success;   /* has such a callback */
	bool on_failure;
	bool was_answered;      /* by the service, to an earlier attempt */
	bool was_unauthorized;  /* so the last attempt was answered: 401 */
	bool may_be_done;       /* by an earlier attempt, whose answer was lost */
	int turn;               /* that this claim is; the request's own is the one before, until it is settled */
	uint64 enqueued_xid;    /* the transaction that enqueued it */
	uint64 claimed_in;      /* the transaction, which names the claim's row */
	TimestampTz started_at; /* the time of the claim */
	TimestampTz held_since; /* since when it has waited for an operator; 0: it has not */
	bool foreign;           /* comes from another database: must not be sent */
	int role_id;
	char *ordering_key;     /* or NULL */
	TimestampTz expires_at; /* 0: it does not */
	bool is_over;           /* it was claimed as that had come */
	char *last_error;       /* of one that has expired: what went wrong the last time; or NULL */
	bool is_to_be_reduced;  /* when it has ended: flex_api.outbox_keep, as it was when this was claimed */
	int priority;           /* of one that is taken over: with the role, what its lane is found by */
} Claim;

/* A process that claims requests: no later one has the same number and start. */
typedef struct SenderProcess
{
	int pid;
	TimestampTz start;
} SenderProcess;

/* A request that some sender has claimed; it is settled when the request's turn is no longer before this one. */
typedef struct LiveClaim
{
	uint64 claimed_in;
	SenderProcess sender;
	TimestampTz claimed_at;
	int64 request;
	int turn;
	uint64 enqueued_xid;
} LiveClaim;

/* All that one transaction has claimed. */
typedef struct ClaimRow
{
	uint64 id;
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
