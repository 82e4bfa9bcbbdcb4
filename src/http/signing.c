/*
 * signing.c
 *		The secrets that tokens and webhooks are signed with.
 *
 * Webhooks are verified with auth tokens, and access tokens are signed with an API key;
 * these secrets are never sent.  They are taken from the settings in effect for the current
 * role, or else from the role's lines in the credentials file.  Auth token and API key are
 * looked up independently, as both may be set.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/effective.h"
#include "http/credentials_file.h"
#include "http/signing.h"

/* Raise 55000 because a secret is missing or incomplete. */
pg_noreturn static void
raise_missing(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg_internal("%s", message), errhint("%s", hint)));
}

/* Memory context callback: overwrite a secret. */
static void
erase(void *secret)
{
	explicit_bzero(secret, strlen(secret));
}

/* Have a palloc'd secret, or NULL, overwritten when the current context is reset or deleted, and return it. */
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

/* Read the secrets of a role and flex_api.account_sid from the credentials file, if one is configured. */
static void
read_secrets(Oid role, FileSecrets *secrets)
{
	memset(secrets, 0, sizeof(*secrets));
	if (flex_setting_is_set(flex_settings.credentials_file))
		flex_credentials_file_secrets(flex_settings.credentials_file, role,
									  flex_effective_string(&flex_settings.account_sid), secrets);
}

/*
 * Get the auth tokens that webhooks may be signed with, terminated by NULL: the current one
 * and, during a rotation, the former one.  They are allocated in the current context, and
 * overwritten at its end.  Raise 55000 if there is none.
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

/* Return the API key of the settings, whose members may be "".  Raise 55000 if half of it is missing. */
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
 * Return the API key that access tokens are signed with, and its account, allocated in the
 * current context, at whose end the secret is overwritten.  Raise 55000 if there is none.
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
