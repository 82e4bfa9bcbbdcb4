/*
 * access_token.c
 *	  Access tokens: JSON Web Tokens that an API key's secret has signed
 *	  (HS256), as Twilio's page on access tokens describes them. Of what they
 *	  grant, the simulator looks at identity and chat.
 */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "access_token.h"
#include "clock.h"
#include "json_text.h"

#define SHA256_LENGTH 32

/* Decodes base64url, whose padding is left out; false if it is none. */
static bool
decode_part(Text *bytes, const char *part, size_t length)
{
	Text padded = {0};
	gnutls_datum_t decoded = {0};
	bool good;

	text_add(&padded, part, length);
	for (size_t i = 0; i < length; i++)
		padded.data[i] = part[i] == '-' ? '+' : part[i] == '_' ? '/' : part[i];
	while (padded.length % 4 != 0)
		text_add_string(&padded, "=");
	good = gnutls_base64_decode2(&(gnutls_datum_t){(unsigned char *) padded.data, (unsigned int) padded.length},
								 &decoded) == GNUTLS_E_SUCCESS;
	if (good)
		text_add(bytes, decoded.data, decoded.size);
	gnutls_free(decoded.data);
	text_free(&padded);
	return good;
}

/* The JSON object of a part, or NULL. */
static json_object *
read_part(const char *part, size_t length)
{
	Text text = {0};
	json_object *value = NULL;

	if (decode_part(&text, part, length) && text.length > 0)
		json_read(text.data, text.length, &value);
	text_free(&text);
	if (value == NULL || json_object_is_type(value, json_type_object))
		return value;
	json_object_put(value);
	return NULL;
}

/* Whether a signature is that of the bytes by a key's secret. */
static bool
is_signed(const char *data, size_t length, const char *signature, const char *secret)
{
	unsigned char digest[SHA256_LENGTH];
	Text given = {0};
	bool same;

	gnutls_hmac_fast(GNUTLS_MAC_SHA256, secret, strlen(secret), data, length, digest);
	same = decode_part(&given, signature, strlen(signature)) && given.length == sizeof(digest) &&
		   memcmp(given.data, digest, sizeof(digest)) == 0;
	text_free(&given);
	return same;
}

/* Judges what a token says, whose signature is good; the identity is the caller's. */
static TokenFault
check_claims(json_object *claims, const Credential *key, char **identity)
{
	json_object *grants = json_member(claims, "grants");
	const char *account = json_text_member(claims, "sub");
	const char *name = json_text_member(grants, "identity");
	int64_t now = (int64_t) clock_seconds();

	if (account == NULL || strcmp(account, key->account->sid) != 0 || name == NULL || *name == '\0' ||
		json_text_member(json_member(grants, "chat"), "service_sid") == NULL)
		return TOKEN_INVALID;
	if (json_integer_member(claims, "exp", 0) <= now)
		return TOKEN_EXPIRED;
	if (json_integer_member(claims, "nbf", 0) > now)
		return TOKEN_NOT_YET_VALID;
	*identity = must_copy(name);
	return TOKEN_GOOD;
}

/* Checks a token; the key that has signed it and the identity, which is the caller's, are set where it is good. */
TokenFault
token_check(const char *token, const Credential **key, char **identity)
{
	const char *first = strchr(token, '.');
	const char *second = first ? strchr(first + 1, '.') : NULL;
	json_object *header;
	json_object *claims;
	const char *issuer;
	TokenFault fault = TOKEN_INVALID;

	if (second == NULL)
		return TOKEN_INVALID;
	header = read_part(token, (size_t) (first - token));
	claims = read_part(first + 1, (size_t) (second - first - 1));
	issuer = json_text_member(claims, "iss");
	*key = issuer ? accounts_key(issuer) : NULL;
	if (*key != NULL && json_text_member(header, "alg") != NULL &&
		strcmp(json_text_member(header, "alg"), "HS256") == 0)
		fault = is_signed(token, (size_t) (second - token), second + 1, (*key)->password)
					? check_claims(claims, *key, identity)
					: TOKEN_BADLY_SIGNED;
	json_object_put(header);
	json_object_put(claims);
	return fault;
}
