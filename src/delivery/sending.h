/*
 * sending.h
 *		A request of the outbox that a sender has under way.
 */
#ifndef FLEX_SENDING_H
#define FLEX_SENDING_H

#include "lib/ilist.h"

#include "delivery/holds.h"
#include "http/crowd.h"
#include "outbox/settled_rows.h"
#include "request/signature.h"

/* A claimed request, in a context of its own. */
typedef struct Sending
{
	dlist_node node;
	MemoryContext context;
	Claim claim;
	HttpRequest *request;
	const Endpoint *endpoint;
	Attempt *attempt;  /* NULL: not sent yet */
	ErrorData *error;  /* why it cannot be sent, and that could not be recorded yet; or NULL */
	bool is_claimed;   /* its claim has been committed */
	bool is_settled;   /* in the last transaction */
	bool is_noted;     /* the holds know what became of it */
	Wait wait;         /* ... and that is how long it waits */
	const char *state; /* as which it was settled; NULL: it was not sent */
	Obstacle obstacle; /* why it was not settled when it was to be */
	int64 again_ms;    /* flex_clock_ms() before which it is not tried again */
} Sending;

/* Whether a claimed request can be sent. */
typedef enum Preparation
{
	PREPARED,
	REFUSED, /* it cannot, and never can */
	BLOCKED  /* it cannot, until an operator has mended something, and so it is with others of its lane */
} Preparation;

extern Sending *flex_sending_create(const Claim *claim, MemoryContext context);
extern Preparation flex_sending_prepare(Sending *sending, const Signature *signature);
extern void flex_sending_start(Sending *sending, Crowd *crowd);
extern void flex_sending_settle(Sending *sending, bool read);

#endif /* FLEX_SENDING_H */
