/*
 * settling.h
 *		What became of claimed requests, written into the outbox.
 */
#ifndef FLEX_SETTLING_H
#define FLEX_SETTLING_H

#include "outbox/claims.h"
#include "outbox/waiting_rows.h"
#include "request/catalogue.h"

#define LATER_KEPT 1024 /* most lanes that flex_outbox_later() reports; others are left out */

/* The result of a claimed request. */
typedef struct Settlement
{
	const char *state;
	TimestampTz run_at;     /* if pending: when to send it again; 0: now */
	const char *cause;      /* if pending: what an operator has to mend, or NULL */
	TimestampTz held_since; /* if there is a cause */
	bool is_held;           /* other requests that would meet the same problem are held back, too */
	bool with_callback;
	bool uncounted;   /* do not count this as an attempt */
	bool may_be_done; /* this attempt or an earlier one may have been carried out */
	int http_status;  /* 0: no answer */
	const char *error_code;
	const char *error_message;
	const char *request_id;
	const char *sid; /* of the resource that a successful answer names */
	Datum response;  /* jsonb; 0: none */
	Datum arguments; /* jsonb, reduced to identifiers; 0: arguments and context are not changed */
	Datum context;   /* jsonb, likewise, if arguments are given; 0: none */
} Settlement;

extern void flex_outbox_discard(void);
extern void flex_outbox_settle(const Claim *claim, const Settlement *settlement);
extern const LaterKey *flex_outbox_later(int *count);
extern void flex_outbox_flush(void);

#endif /* FLEX_SETTLING_H */
