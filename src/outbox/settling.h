/*
 * settling.h
 *		What became of claimed requests, written into the outbox.
 */
#ifndef FLEX_SETTLING_H
#define FLEX_SETTLING_H

#include "outbox/claims.h"
#include "outbox/waiting_rows.h"
#include "request/catalogue.h"

#define LATER_KEPT 1024 /* lanes in which requests that were settled wait for a time; of more some are not told */

/* What became of a claimed request. */
typedef struct Settlement
{
	const char *state;
	TimestampTz run_at;     /* of state pending */
	const char *cause;      /* of state pending: what an operator has to mend, or NULL */
	TimestampTz held_since; /* where there is a cause */
	bool is_held;           /* as others that meet the same are */
	bool with_callback;
	bool uncounted;   /* the attempt was none */
	bool may_be_done; /* by this attempt or an earlier one */
	int http_status;  /* 0: no answer */
	const char *error_code;
	const char *error_message;
	const char *request_id;
	const char *sid; /* that a good answer gave */
	Datum response;  /* jsonb; 0: none */
	Datum arguments; /* jsonb, where they are reduced to identifiers; 0: they stay, as does the context */
	Datum context;   /* jsonb, where arguments are reduced; 0: none */
} Settlement;

extern void flex_outbox_discard(void);
extern void flex_outbox_settle(const Claim *claim, const Settlement *settlement);
extern const LaterKey *flex_outbox_later(int *count);
extern void flex_outbox_flush(void);

#endif /* FLEX_SETTLING_H */
