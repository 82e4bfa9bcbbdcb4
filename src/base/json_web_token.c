/*
 * json_web_token.c
 *		Makes JSON Web Tokens (RFC 7519), signed with HS256.
 *
 * A token consists of a header and claims, both JSON in UTF-8, and the HMAC-SHA256 of these
 * two with a secret; each part is in base64url (RFC 4648, without padding), with dots between.
 */
#include "postgres.h"

#include "common/base64.h"
#include "lib/stringinfo.h"

#include "base/digests.h"
#include "base/json_web_token.h"

/* Append bytes in base64url. */
static void
append_base64url(StringInfo to, const void *bytes, int length)
{
	int room = pg_b64_enc_len(length) + 1;
	char *text;
	int written;

	enlargeStringInfo(to, room);
	text = to->data + to->len;
	written = pg_b64_encode(bytes, length, text, room);
	if (written < 0)
		elog(ERROR, "could not encode a token");
	while (written > 0 && text[written - 1] == '=')
		written--;
	for (int i = 0; i < written; i++)
		text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
	to->len += written;
	to->data[to->len] = '\0';
}

/* Return the token for a header and claims; palloc'd. */
char *
flex_json_web_token(const char *header, const char *claims, const char *secret)
{
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	StringInfoData token;
	DigestPiece piece;

	initStringInfo(&token);
	append_base64url(&token, header, strlen(header));
	appendStringInfoChar(&token, '.');
	append_base64url(&token, claims, strlen(claims));
	piece = (DigestPiece){.data = token.data, .length = token.len};
	flex_hmac(PG_SHA256, secret, &piece, 1, digest, sizeof(digest));
	appendStringInfoChar(&token, '.');
	append_base64url(&token, digest, sizeof(digest));
	return token.data;
}
