/*
 * claims.h
 *		Requests of the outbox that a sender has claimed, or may claim.
 */
#ifndef FLEX_CLAIMS_H
#define FLEX_CLAIMS_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/* The requests of one operation and priority that wait. */
typedef struct Lane
{
	char *operation;
	int priority;
	TimestampTz due_at;     /* of the first of them */
	TimestampTz claim_from; /* run_at of the last one claimed: those before are gone, mostly */
} Lane;

/* A request that this process has claimed. */
typedef struct Claim
{
	int64 id;
	char *operation;
	Jsonb *arguments;
	int attempts; /* this one included */
	int max_attempts;
	Oid role;
	char *account_sid; /* or NULL */
	bool on_success;   /* has such a callback */
	bool on_failure;
	bool was_answered; /* by the service, to an earlier attempt */
	bool may_be_done;  /* by an earlier attempt, whose answer was lost */
	TimestampTz run_at;
	TimestampTz started_at; /* the time of the claim */
	bool foreign;           /* comes from another database: must not be sent */
} Claim;

/* A process that claims requests: no later one has the same number and start. */
typedef struct SenderProcess
{
	int pid;
	TimestampTz start;
} SenderProcess;

extern Lane *flex_outbox_lanes(int *count);
extern char *flex_outbox_source(Oid role, const char *account_sid);
extern Claim *flex_outbox_claim(const Lane *lane, int limit, Datum without, int *count);
extern SenderProcess *flex_outbox_senders(int *count);
extern Claim *flex_outbox_take_over(const SenderProcess *sender, int limit, int *count);

#endif /* FLEX_CLAIMS_H */
