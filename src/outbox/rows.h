/*
 * rows.h
 *		The rows of flex_outbox, through SPI.
 */
#ifndef FLEX_ROWS_H
#define FLEX_ROWS_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "request/catalogue.h"

/* The requests of one operation and priority that wait. */
typedef struct Lane
{
	char *operation;
	int priority;
	TimestampTz due_at;     /* of the first of them, or when the hold on them ends */
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
	bool may_be_done; /* by an earlier attempt, whose answer was lost */
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

/* What became of a claimed request. */
typedef struct Settlement
{
	const char *state;
	TimestampTz run_at; /* of state pending */
	bool with_callback;
	bool uncounted;   /* the attempt was none */
	bool may_be_done; /* by this attempt or an earlier one */
	int http_status;  /* 0: no answer */
	const char *error_code;
	const char *error_message;
	const char *request_id;
	const char *sid; /* that a good answer gave */
	Datum response;  /* jsonb; 0: none */
} Settlement;

/* A callback that is due, with the row it is called with. */
typedef struct Callback
{
	int64 id;
	Oid role;
	char *function;       /* qualified name */
	int attempts;         /* this one included */
	TimestampTz again_at; /* when it is due again, if nobody settles it: known to its claimer alone */
	char *state;          /* that the request has now */
	Datum row;
	Oid row_type;
} Callback;

extern int64 flex_outbox_find_key(Oid role, const char *unique_key);
extern Lane *flex_outbox_lanes(int *count);
extern Claim *flex_outbox_claim(const Lane *lane, int limit, int *count);
extern void flex_outbox_discard(void);
extern void flex_outbox_flush(void);
extern void flex_outbox_settle(const Claim *claim, const Settlement *settlement);
extern void flex_outbox_notify(int64 id, const char *state);
extern void flex_outbox_hold(const Operation *operation, TimestampTz until);
extern SenderProcess *flex_outbox_senders(int *count);
extern Claim *flex_outbox_take_over(const SenderProcess *sender, int limit, int *count);
extern uint64 flex_outbox_holds(void);
extern bool flex_outbox_claim_callback(Callback *callback);
extern bool flex_outbox_settle_callback(Callback *callback);
extern void flex_outbox_fail_callback(const Callback *callback, const char *error, TimestampTz again_at);
extern TimestampTz flex_outbox_next_callback(void);
extern int flex_outbox_expire(int retention_minutes, int limit);
extern bool flex_outbox_note_drain(bool is_worker);
extern bool flex_outbox_was_drained(void);
extern const char *flex_outbox_decide(int64 id, Oid role, const char *role_name, bool retry, char **to_send);

#endif /* FLEX_ROWS_H */
