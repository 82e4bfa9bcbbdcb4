/*
 * claim.c
 *		A request of the outbox that a sender has claimed.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "answer/jsonb_sids.h"
#include "outbox/claim.h"

/* Reduce a claim's context, as it has been read, to identifiers.  Nothing is left in the memory context "scratch". */
void
flex_claim_reduce_context(Claim *claim, MemoryContext scratch)
{
	Jsonb *whole = claim->context;
	MemoryContext before;

	if (whole == NULL)
		return;
	before = MemoryContextSwitchTo(scratch);
	claim->context = flex_jsonb_sids(whole);
	MemoryContextSwitchTo(before);
	claim->context = DatumGetJsonbPCopy(JsonbPGetDatum(claim->context));
	MemoryContextReset(scratch);
	pfree(whole);
}

/* Return true if a claimed request has expired, and so must not be sent. */
bool
flex_claim_has_expired(const Claim *claim)
{
	return claim->is_over || (claim->expires_at != 0 && claim->expires_at <= GetCurrentTimestamp());
}
