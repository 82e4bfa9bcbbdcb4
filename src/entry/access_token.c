/*
 * access_token.c
 *		SQL entry point of flex_access_token().
 *
 * An access token lets a browser or an app join conversations as the customer or agent
 * that it names.  It is signed here with the secret of the API key; no request is sent, and
 * the service learns of the token only when it is used.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/effective.h"
#include "base/json_web_token.h"
#include "entry/declaration.h"
#include "http/signing.h"
#include "request/access_claims.h"
#include "request/arguments.h"

PG_FUNCTION_INFO_V1(flex_api_access_token);

enum
{
	ARGUMENT_IDENTITY,
	ARGUMENT_CHAT_SERVICE_SID,
	ARGUMENT_GRANTS,
	ARGUMENT_TTL,
	ARGUMENT_VALID_FROM
};

/* Read the arguments; NULL stands for a default or for nothing, except for the identity, which raises 22004. */
static void
read_arguments(FunctionCallInfo fcinfo, AccessClaims *claims)
{
	static const Interval hour = {.time = USECS_PER_HOUR};
	const Interval *ttl = PG_ARGISNULL(ARGUMENT_TTL) ? &hour : PG_GETARG_INTERVAL_P(ARGUMENT_TTL);

	if (PG_ARGISNULL(ARGUMENT_IDENTITY))
		flex_argument_refuse_null("flex_access_token", "identity");
	claims->identity = text_to_cstring(PG_GETARG_TEXT_PP(ARGUMENT_IDENTITY));
	if (!PG_ARGISNULL(ARGUMENT_CHAT_SERVICE_SID))
		claims->chat_service_sid = text_to_cstring(PG_GETARG_TEXT_PP(ARGUMENT_CHAT_SERVICE_SID));
	if (!PG_ARGISNULL(ARGUMENT_GRANTS))
		claims->grants = PG_GETARG_JSONB_P(ARGUMENT_GRANTS);
	claims->issued_at = flex_access_time(GetCurrentTimestamp(), "now");
	claims->expires_at = claims->issued_at + flex_access_lifetime(ttl);
	if (!PG_ARGISNULL(ARGUMENT_VALID_FROM))
		claims->valid_from = flex_access_time(PG_GETARG_TIMESTAMPTZ(ARGUMENT_VALID_FROM), "valid_from");
}

/* Make the token, in the current context, which then contains the secret, too. */
static char *
make_token(FunctionCallInfo fcinfo)
{
	AccessClaims claims = {0};
	SigningKey key;
	const char *region = flex_effective_string(&flex_settings.region);
	char *header = "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"cty\":\"twilio-fpa;v=1\"}";

	read_arguments(fcinfo, &claims);
	flex_access_claims_check(&claims);
	key = flex_signing_key(GetUserId());
	claims.key = key.sid;
	claims.account = key.account;
	/* It needs no escaping: the setting's check admits only letters, digits and hyphens. */
	if (flex_setting_is_set(region))
		header = psprintf("{\"alg\":\"HS256\",\"typ\":\"JWT\",\"cty\":\"twilio-fpa;v=1\",\"twr\":\"%s\"}", region);
	return flex_json_web_token(header, flex_access_claims_json(&claims), key.secret);
}

/* flex_access_token(identity, chat_service_sid, grants, ttl, valid_from) */
PGDLLEXPORT Datum
flex_api_access_token(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {
		.result = TEXTOID,
		.count = 5,
		.types = {TEXTOID, TEXTOID, JSONBOID, INTERVALOID, TIMESTAMPTZOID},
	};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "flex_api access token", ALLOCSET_DEFAULT_SIZES);
	volatile Datum result = (Datum) 0;

	flex_declaration_check(fcinfo, &entry);
	MemoryContextSwitchTo(work);
	PG_TRY();
	{
		char *token = make_token(fcinfo);

		MemoryContextSwitchTo(caller);
		result = CStringGetTextDatum(token);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(work);
	}
	PG_END_TRY();
	PG_RETURN_DATUM(result);
}
