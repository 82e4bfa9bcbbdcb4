/*
 * claiming.h
 *		Claims requests that were chosen to be sent, as far as possible.
 */
#ifndef FLEX_CLAIMING_H
#define FLEX_CLAIMING_H

#include "delivery/backlog.h"
#include "outbox/claims.h"

/* A request that is to be claimed.  A token has been taken for it, unless its lane is mixed. */
typedef struct Chosen
{
	Lane *lane;
	Candidate candidate;
} Chosen;

extern bool flex_claiming_is_among(const int64 *ids, int count, int64 id);
extern Claim *
flex_claiming_claim_expired(const Backlog *backlog, int64 *ids, int id_count, int *count, int *left_count);
extern int flex_claiming_claim(Backlog *backlog, const Chosen *chosen, int count, Claim *claims, int *put_off_count);

#endif /* FLEX_CLAIMING_H */
