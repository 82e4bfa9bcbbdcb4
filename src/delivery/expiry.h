/*
 * expiry.h
 *		Ends requests that have not been sent by their expires_at.
 */
#ifndef FLEX_EXPIRY_H
#define FLEX_EXPIRY_H

#include "delivery/backlog.h"
#include "outbox/claims.h"

typedef struct Expiry Expiry;

extern Expiry *flex_expiry_create(void);
extern void flex_expiry_expect(Expiry *expiry);
extern long flex_expiry_wait_ms(const Expiry *expiry);
extern Claim *flex_expiry_claim(Expiry *expiry, const Backlog *backlog, int *count);

#endif /* FLEX_EXPIRY_H */
