/*
 * webhook.c
 *		SQL entry points that check whether a webhook was sent by the service.
 *
 * They never return NULL, whatever is NULL among their arguments.  Otherwise a request
 * without a signature would pass a check such as IF NOT flex_webhook_is_authentic(...) THEN
 * RAISE, because NOT NULL is not true.  Nothing is sent.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "answer/webhook_signature.h"
#include "base/compat.h"
#include "base/encoding.h"
#include "entry/declaration.h"
#include "http/signing.h"
#include "request/arguments.h"

PG_FUNCTION_INFO_V1(flex_api_webhook_is_authentic);
PG_FUNCTION_INFO_V1(flex_api_webhook_body_is_authentic);

/* Arguments of both functions. */
enum
{
	ARGUMENT_URL,
	ARGUMENT_CONTENT, /* the parameters of a form, or the body */
	ARGUMENT_SIGNATURE
};

/* Return a text argument in UTF-8; an empty string for NULL. */
static char *
text_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	return PG_ARGISNULL(number) ? "" : flex_text_to_wire(text_to_cstring(PG_GETARG_TEXT_PP(number)), name);
}

/* Return the URL in UTF-8.  Raises 22004 for NULL, as nothing can be checked without it. */
static char *
url_argument(FunctionCallInfo fcinfo, const char *function)
{
	if (PG_ARGISNULL(ARGUMENT_URL))
		flex_argument_refuse_null(function, "url");
	return text_argument(fcinfo, ARGUMENT_URL, "url");
}

/* Return true if the signature was made with one of the current role's auth tokens. */
static bool
is_signed(const char *url, const char *parameters, const char *signature)
{
	char *tokens[FLEX_MOST_TOKENS + 1];

	flex_signing_tokens(GetUserId(), tokens);
	return flex_webhook_signature_is_good(url, parameters, signature, tokens);
}

/* flex_webhook_is_authentic(url, parameters, signature).  NULL as parameters means that there are none. */
static bool
form_is_authentic(FunctionCallInfo fcinfo)
{
	static const EntryPoint entry = {.result = BOOLOID, .count = 3, .types = {TEXTOID, JSONBOID, TEXTOID}};
	const char *url;
	const char *parameters = "";

	flex_declaration_check(fcinfo, &entry);
	url = url_argument(fcinfo, "flex_webhook_is_authentic");
	if (!PG_ARGISNULL(ARGUMENT_CONTENT))
		parameters = flex_webhook_parameters_text(PG_GETARG_JSONB_P(ARGUMENT_CONTENT));
	return is_signed(url, parameters, text_argument(fcinfo, ARGUMENT_SIGNATURE, "signature"));
}

/* flex_webhook_body_is_authentic(url, body, signature).  NULL as the body means an empty one. */
static bool
body_is_authentic(FunctionCallInfo fcinfo)
{
	static const EntryPoint entry = {.result = BOOLOID, .count = 3, .types = {TEXTOID, BYTEAOID, TEXTOID}};
	DigestPiece body = {.data = "", .length = 0};
	const char *url;
	bool has_signature;

	flex_declaration_check(fcinfo, &entry);
	url = url_argument(fcinfo, "flex_webhook_body_is_authentic");
	if (!PG_ARGISNULL(ARGUMENT_CONTENT))
	{
		bytea *content = PG_GETARG_BYTEA_PP(ARGUMENT_CONTENT);

		body = (DigestPiece){.data = VARDATA_ANY(content), .length = VARSIZE_ANY_EXHDR(content)};
	}
	has_signature = is_signed(url, "", text_argument(fcinfo, ARGUMENT_SIGNATURE, "signature"));
	return flex_webhook_body_is_good(url, body) && has_signature;
}

/* Run a check in a memory context of its own, which is deleted with the tokens and all spellings of the URL. */
static Datum
ask(FunctionCallInfo fcinfo, bool (*is_authentic)(FunctionCallInfo fcinfo))
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "flex_api webhook", ALLOCSET_DEFAULT_SIZES);
	volatile bool result = false;

	MemoryContextSwitchTo(work);
	PG_TRY();
	{
		result = is_authentic(fcinfo);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(work);
	}
	PG_END_TRY();
	PG_RETURN_BOOL(result);
}

/* flex_webhook_is_authentic() */
PGDLLEXPORT Datum
flex_api_webhook_is_authentic(PG_FUNCTION_ARGS)
{
	return ask(fcinfo, form_is_authentic);
}

/* flex_webhook_body_is_authentic() */
PGDLLEXPORT Datum
flex_api_webhook_body_is_authentic(PG_FUNCTION_ARGS)
{
	return ask(fcinfo, body_is_authentic);
}
