/*
 * holds.h
 *		What holds requests back until an operator has mended it.
 */
#ifndef FLEX_HOLDS_H
#define FLEX_HOLDS_H

#include "http/verdict.h"
#include "outbox/claims.h"

/* What requests have in common that are held back together, as hashes; 0: not known. */
typedef struct Route
{
	uint64 network;     /* the way to the server: its address, the proxy, the authorities */
	uint64 credentials; /* as whom */
} Route;

/* How long a request waits that is held back. */
typedef struct Wait
{
	TimestampTz since; /* when the first one met it; 0: it does not wait */
	TimestampTz until; /* when it may be tried again */
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
