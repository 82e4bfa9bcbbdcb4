/*
 * holds.h
 *		Holds: problems that only an operator can mend, and that block many requests.
 */
#ifndef FLEX_HOLDS_H
#define FLEX_HOLDS_H

#include "http/verdict.h"
#include "outbox/claims.h"

/* What requests that are held back together have in common, as hashes; 0 if not known. */
typedef struct Route
{
	uint64 network;     /* of the server's address, the proxy and the CA file */
	uint64 credentials; /* of the authorization, and the server that it is for */
} Route;

/* How long a request that is held back has to wait. */
typedef struct Wait
{
	TimestampTz since; /* when the problem was found; 0 if the request does not wait */
	TimestampTz until; /* when the request may be tried again */
} Wait;

extern void flex_holds_begin(void);
extern Route flex_holds_route(const Endpoint *endpoint, const char *service);
extern Wait flex_holds_note(const Endpoint *endpoint, const Claim *claim, const Outcome *outcome);
extern bool flex_holds_any(void);
extern uint64 flex_holds_found(void);
extern int64 flex_holds_open_at(const Route *route);
extern void flex_holds_begin_probe(const Route *route);
extern void flex_holds_end_probe(const Route *route);

#endif /* FLEX_HOLDS_H */
