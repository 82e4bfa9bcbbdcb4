/*
 * sending.h
 *		A claimed request of the outbox in a sender, from its preparation to its settlement.
 */
#ifndef FLEX_SENDING_H
#define FLEX_SENDING_H

#include "lib/ilist.h"

#include "delivery/holds.h"
#include "http/crowd.h"
#include "outbox/settled_rows.h"
#include "request/signature.h"

/* A claimed request, in a memory context of its own. */
typedef struct Sending
{
	dlist_node node;
	MemoryContext context;
	Claim claim;
	HttpRequest *request;
	const Endpoint *endpoint;
	Attempt *attempt;  /* NULL before flex_sending_start() */
	ErrorData *error;  /* why it cannot be sent, if that has yet to be recorded; or NULL */
	bool is_claimed;   /* its claim has been committed */
	bool is_settled;   /* in the last transaction */
	bool is_noted;     /* the holds have been told of the outcome ... */
	Wait wait;         /* ... and this is how long the request waits */
	const char *state; /* the state with which it was settled; NULL if it was not sent */
	Obstacle obstacle; /* why the last try to settle it failed */
	int64 again_ms;    /* flex_clock_ms() before which settling it is not tried again */
} Sending;

/* Whether a claimed request can be sent. */
typedef enum Preparation
{
	PREPARED = 0,
	REFUSED, /* it cannot be sent, now or later */
	BLOCKED  /* it cannot be sent before an operator has mended something, nor can others of its lane */
} Preparation;

extern Sending *flex_sending_create(const Claim *claim, MemoryContext context);
extern Preparation *flex_sending_prepare(Sending *const *sendings, int count);
extern void flex_sending_start(Sending *sending, Crowd *crowd);
extern void flex_sending_settle(Sending *sending, bool read);

#endif /* FLEX_SENDING_H */
