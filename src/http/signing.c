/*
 * signing.c
 *		The secrets that sign, and are never sent: auth tokens for webhooks, an API
 *		key for access tokens.
 *
 * They come from where calls have theirs: the settings that count for the current
 * role, else the role's lines of the credentials file.  Each is looked for by
 * itself, since a key and a token may be set beside each other.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/effective.h"
#include "http/credentials_file.h"
#include "http/signing.h"

/* Raise 55000: what would sign is not there, or not all of it. */
pg_noreturn static void
raise_missing(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg_internal("%s", message), errhint("%s", hint)));
}

static void
erase(void *secret)
{
	explicit_bzero(secret, strlen(secret));
}

/* A palloc'd secret, which the end of the current context erases; NULL is none. */
static char *
erased_at_end(char *secret)
{
	MemoryContextCallback *at_end;

	if (secret == NULL)
		return NULL;
	at_end = palloc(sizeof(MemoryContextCallback));
	*at_end = (MemoryContextCallback){.func = erase, .arg = secret};
	MemoryContextRegisterResetCallback(CurrentMemoryContext, at_end);
	return secret;
}

/* What the file has for a role and the account that the settings name; nothing without a file. */
static void
read_secrets(Oid role, FileSecrets *secrets)
{
	memset(secrets, 0, sizeof(*secrets));
	if (flex_setting_is_set(flex_settings.credentials_file))
		flex_credentials_file_secrets(flex_settings.credentials_file, role,
									  flex_effective_string(&flex_settings.account_sid), secrets);
}

/*
 * The auth tokens that webhooks may be signed with, the last followed by NULL: the
 * current one and, while it is rotated, the one before it.  The end of the current
 * context erases them.  Raises 55000 when there is none.
 */
void
flex_signing_tokens(Oid role, char *tokens[FLEX_MOST_TOKENS + 1])
{
	const char *token;
	FileSecrets secrets = {0};

	flex_effective_check_displaced();
	token = flex_effective_string(&flex_settings.auth_token);
	if (flex_setting_is_set(token))
	{
		const char *before = flex_effective_string(&flex_settings.auth_token_previous);

		tokens[0] = erased_at_end(pstrdup(token));
		tokens[1] = flex_setting_is_set(before) ? erased_at_end(pstrdup(before)) : NULL;
	}
	else
	{
		read_secrets(role, &secrets);
		flex_credential_erase(&secrets.key);
		tokens[0] = erased_at_end(secrets.token.secret);
		tokens[1] =
			flex_setting_is_set(secrets.token_before.secret) ? erased_at_end(secrets.token_before.secret) : NULL;
	}
	tokens[FLEX_MOST_TOKENS] = NULL;
	if (!flex_setting_is_set(tokens[0]))
		raise_missing(
			"no auth token is set, with which webhooks are signed",
			"Set flex_api.auth_token, or add a line account_sid:role:account_sid:auth_token to the file named "
			"by flex_api.credentials_file.");
}

/* The API key that the settings have; raises 55000 for half of one. */
static SigningKey
key_of_settings(void)
{
	const char *sid = flex_effective_string(&flex_settings.api_key);
	const char *secret = flex_effective_string(&flex_settings.api_secret);

	if (flex_setting_is_set(sid) && !flex_setting_is_set(secret))
		raise_missing("an API key is set without its secret", "Set flex_api.api_secret.");
	if (flex_setting_is_set(secret) && !flex_setting_is_set(sid))
		raise_missing("an API secret is set without its key", "Set flex_api.api_key.");
	return (SigningKey){
		.sid = pstrdup(sid),
		.secret = erased_at_end(pstrdup(secret)),
		.account = pstrdup(flex_effective_string(&flex_settings.account_sid)),
	};
}

/*
 * The API key that access tokens are signed with, and its account.  The end of the
 * current context erases its secret.  Raises 55000 when there is none.
 */
SigningKey
flex_signing_key(Oid role)
{
	SigningKey key;

	flex_effective_check_displaced();
	key = key_of_settings();
	if (!flex_setting_is_set(key.sid))
	{
		FileSecrets secrets;

		read_secrets(role, &secrets);
		flex_credential_erase(&secrets.token);
		flex_credential_erase(&secrets.token_before);
		key = (SigningKey){
			.sid = secrets.key.user,
			.secret = erased_at_end(secrets.key.secret),
			.account = secrets.key.account,
		};
	}
	if (!flex_setting_is_set(key.sid) || !flex_setting_is_set(key.secret))
		raise_missing("no API key is set, with which access tokens are signed",
					  "Set flex_api.api_key and flex_api.api_secret, or add a line account_sid:role:api_key:api_secret "
					  "to the file named by flex_api.credentials_file.");
	if (!flex_setting_is_set(key.account))
		raise_missing("an API key is set without its account", "Set flex_api.account_sid.");
	return key;
}
