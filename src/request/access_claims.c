/*
 * access_claims.c
 *		The claims of an access token: builds those of a JSON Web Token from the
 *		arguments of flex_access_token().
 *
 * Names and formats are those of Twilio's page "Access Tokens"
 * (twilio.com/docs/iam/access-tokens) and of the official Node client (6.2.0).
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/encoding.h"
#include "request/access_claims.h"
#include "request/arguments.h"

#define FUNCTION "flex_access_token"
#define MOST_SECONDS (24 * 60 * 60) /* longest lifetime that the service accepts */
#define RANDOM_BYTES 8

/* Return a token's lifetime in seconds; a month has 30 days.  Raises 22023 below 1 and above MOST_SECONDS. */
int64
flex_access_lifetime(const Interval *interval)
{
	double seconds = interval->month * (double) (DAYS_PER_MONTH * SECS_PER_DAY) +
					 interval->day * (double) SECS_PER_DAY + interval->time / (double) USECS_PER_SEC;

	if (!(seconds >= 1 && seconds <= MOST_SECONDS))
		flex_argument_refuse(FUNCTION, "ttl",
							 DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(interval))), false,
							 "an interval from 1 second to 24 hours");
	return (int64) seconds;
}

/* Return a time in seconds since the Unix epoch, rounded down.  Raises 22023 for an infinite one. */
int64
flex_access_time(TimestampTz time, const char *argument)
{
	const int64 epoch = (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;

	if (TIMESTAMP_NOT_FINITE(time))
		flex_argument_refuse(FUNCTION, argument, time < 0 ? "-infinity" : "infinity", false, "a finite time");
	return time / USECS_PER_SEC - (time % USECS_PER_SEC < 0 ? 1 : 0) + epoch;
}

/* Raise 22023 unless the grants are an object of objects, none of which repeats what another argument says. */
static void
check_grants(const AccessClaims *claims)
{
	static const char expected[] = "an object of objects, such as {\"voice\": {\"incoming\": {\"allow\": true}}}";
	JsonbIterator *iterator;
	JsonbValue key;
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(claims->grants))
		flex_argument_refuse(FUNCTION, "grants", flex_argument_json(claims->grants), false, expected);
	iterator = JsonbIteratorInit(&claims->grants->root);
	(void) JsonbIteratorNext(&iterator, &key, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		char *name = pnstrdup(key.val.string.val, key.val.string.len);

		(void) JsonbIteratorNext(&iterator, &value, true);
		if (strcmp(name, "identity") == 0)
			flex_argument_refuse(FUNCTION, "grants", name, false, "no identity in it: that is an argument of its own");
		if (strcmp(name, "chat") == 0 && claims->chat_service_sid != NULL)
			flex_argument_refuse(FUNCTION, "grants", name, false,
								 "either a chat in it, with its service_sid, or the argument chat_service_sid");
		if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			flex_argument_refuse(FUNCTION, "grants", name, false, expected);
	}
}

/* Raise 22023 for claims that the service would refuse. */
void
flex_access_claims_check(const AccessClaims *claims)
{
	const char *sid = claims->chat_service_sid;

	if (claims->identity[0] == '\0')
		flex_argument_refuse(FUNCTION, "identity", claims->identity, false, "a name that is not empty");
	if (sid != NULL && !flex_sid_is_good(sid, "IS"))
		flex_argument_refuse(FUNCTION, "chat_service_sid", sid, false, "a SID: \"IS\" and 32 hexadecimal digits");
	if (claims->grants != NULL)
		check_grants(claims);
	if (claims->valid_from >= claims->expires_at)
		flex_argument_refuse(FUNCTION, "valid_from",
							 timestamptz_to_str(time_t_to_timestamptz((pg_time_t) claims->valid_from)), false,
							 "a time before the token's end, which \"ttl\" counts from now");
}

/* Append a member whose value is a string. */
static void
append_string(StringInfo json, const char *name, const char *value)
{
	appendStringInfo(json, "\"%s\":", name);
	escape_json(json, value);
}

/* Append the unique ID of the token: the key's SID, the time, and random digits. */
static void
append_id(StringInfo json, const AccessClaims *claims)
{
	uint8 bytes[RANDOM_BYTES];
	StringInfoData id;

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes for a token")));
	initStringInfo(&id);
	appendStringInfo(&id, "%s-" INT64_FORMAT "-", claims->key, claims->issued_at);
	for (size_t i = 0; i < sizeof(bytes); i++)
		appendStringInfo(&id, "%02x", bytes[i]);
	append_string(json, "jti", id.data);
}

/* Append the grants: identity, chat, and those of the argument "grants". */
static void
append_grants(StringInfo json, const AccessClaims *claims)
{
	appendStringInfoString(json, ",\"grants\":{");
	append_string(json, "identity", claims->identity);
	if (claims->chat_service_sid != NULL)
	{
		appendStringInfoString(json, ",\"chat\":{");
		append_string(json, "service_sid", claims->chat_service_sid);
		appendStringInfoChar(json, '}');
	}
	if (claims->grants != NULL && JB_ROOT_COUNT(claims->grants) > 0)
	{
		/* The text of the object without its opening brace; its closing brace closes ours. */
		appendStringInfoChar(json, ',');
		appendStringInfoString(json, flex_argument_json(claims->grants) + 1);
	}
	else
		appendStringInfoChar(json, '}');
}

/* Return the claims as JSON text in UTF-8.  They must have been checked. */
char *
flex_access_claims_json(const AccessClaims *claims)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	append_id(&json, claims);
	append_grants(&json, claims);
	if (claims->valid_from != 0)
		appendStringInfo(&json, ",\"nbf\":" INT64_FORMAT, claims->valid_from);
	appendStringInfo(&json, ",\"iat\":" INT64_FORMAT ",\"exp\":" INT64_FORMAT ",", claims->issued_at,
					 claims->expires_at);
	append_string(&json, "iss", claims->key);
	appendStringInfoChar(&json, ',');
	append_string(&json, "sub", claims->account);
	appendStringInfoChar(&json, '}');
	return flex_text_to_wire(json.data, "claims");
}
