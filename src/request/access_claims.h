/*
 * access_claims.h
 *		The claims of an access token.
 */
#ifndef FLEX_ACCESS_CLAIMS_H
#define FLEX_ACCESS_CLAIMS_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/* Texts are in the database's encoding, times in seconds of the Unix epoch. */
typedef struct AccessClaims
{
	const char *key;              /* SID of the API key that signs the token */
	const char *account;          /* SID */
	const char *identity;         /* user that the token stands for */
	const char *chat_service_sid; /* NULL: no chat grant, unless it is among "grants" */
	Jsonb *grants;                /* further grants; NULL: none */
	int64 issued_at;
	int64 expires_at;
	int64 valid_from; /* 0: valid at once */
} AccessClaims;

extern int64 flex_access_lifetime(const Interval *interval);
extern int64 flex_access_time(TimestampTz time, const char *argument);
extern void flex_access_claims_check(const AccessClaims *claims);
extern char *flex_access_claims_json(const AccessClaims *claims);

#endif /* FLEX_ACCESS_CLAIMS_H */
