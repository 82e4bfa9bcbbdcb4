/*
 * access_claims.h
 *		What an access token says.
 */
#ifndef FLEX_ACCESS_CLAIMS_H
#define FLEX_ACCESS_CLAIMS_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/* Texts are in the database's encoding, times in seconds of the Unix epoch. */
typedef struct AccessClaims
{
	const char *key;
	const char *account;
	const char *identity;
	const char *chat_service_sid; /* NULL: no chat but that of the grants */
	Jsonb *grants;                /* NULL: none more */
	int64 issued_at;
	int64 expires_at;
	int64 valid_from; /* 0: at once */
} AccessClaims;

extern int64 flex_access_lifetime(const Interval *interval);
extern int64 flex_access_time(TimestampTz time, const char *argument);
extern void flex_access_claims_check(const AccessClaims *claims);
extern char *flex_access_claims_json(const AccessClaims *claims);

#endif /* FLEX_ACCESS_CLAIMS_H */
