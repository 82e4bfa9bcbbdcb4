/*
 * webhook.c
 *		SQL entry points that tell whether a webhook is the service's.
 *
 * Neither ever returns NULL: in a condition NULL is not false, and a request
 * without a signature would pass a check that asks IF NOT.  Nothing is sent.
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

/* Arguments of both. */
enum
{
	ARGUMENT_URL,
	ARGUMENT_CONTENT, /* the parameters of a form, or a body */
	ARGUMENT_SIGNATURE
};

/* A text argument in UTF-8, empty for NULL. */
static char *
text_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	return PG_ARGISNULL(number) ? "" : flex_text_to_wire(text_to_cstring(PG_GETARG_TEXT_PP(number)), name);
}

/* Raise 22004 without a URL: nothing can be said of the request then. */
static char *
url_argument(FunctionCallInfo fcinfo, const char *function)
{
	if (PG_ARGISNULL(ARGUMENT_URL))
		flex_argument_refuse_null(function, "url");
	return text_argument(fcinfo, ARGUMENT_URL, "url");
}

/* True when the signature is one of the current role's auth tokens. */
static bool
is_signed(const char *url, const char *parameters, const char *signature)
{
	char *tokens[FLEX_MOST_TOKENS + 1];

	flex_signing_tokens(GetUserId(), tokens);
	return flex_webhook_signature_is_good(url, parameters, signature, tokens);
}

/* flex_webhook_is_authentic(url, parameters, signature); parameters NULL: none. */
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

/* flex_webhook_body_is_authentic(url, body, signature); body NULL: an empty one. */
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

/* Ask in a memory context of its own, which has forms of a URL that may be long, and the tokens. */
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

PGDLLEXPORT Datum
flex_api_webhook_is_authentic(PG_FUNCTION_ARGS)
{
	return ask(fcinfo, form_is_authentic);
}

PGDLLEXPORT Datum
flex_api_webhook_body_is_authentic(PG_FUNCTION_ARGS)
{
	return ask(fcinfo, body_is_authentic);
}
