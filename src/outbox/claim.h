/*
 * claim.h
 *		A request of the outbox that a sender has claimed.
 */
#ifndef FLEX_CLAIM_H
#define FLEX_CLAIM_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

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

/*
 * The columns of a request that become members of a Claim of the same names, as they are.  For the others
 * see CLAIM_COLUMNS (claims.c) and, for claiming without a statement, read_claim() (direct_claims.c).
 */
#define CLAIM_MEMBERS(MEMBER)                                                                                          \
	MEMBER(id, INT8OID)                                                                                                \
	MEMBER(operation, TEXTOID)                                                                                         \
	MEMBER(max_attempts, INT4OID)                                                                                      \
	MEMBER(account_sid, TEXTOID)                                                                                       \
	MEMBER(server, TEXTOID)                                                                                            \
	MEMBER(may_be_done, BOOLOID)                                                                                       \
	MEMBER(enqueued_xid, XID8OID)                                                                                      \
	MEMBER(role_id, INT4OID)                                                                                           \
	MEMBER(ordering_key, TEXTOID)                                                                                      \
	MEMBER(expires_at, TIMESTAMPTZOID)

extern void flex_claim_reduce_context(Claim *claim, MemoryContext scratch);
extern bool flex_claim_has_expired(const Claim *claim);

#endif /* FLEX_CLAIM_H */
