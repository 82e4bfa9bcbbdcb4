/*
 * digests.c
 *		HMAC and SHA-256, by the server's own functions.
 *
 * The server computes digests by OpenSSL or by its own code, depending on how it was built.
 * Digests that OpenSSL refuses (such as SHA-1 in FIPS mode) raise an error.  After an ERROR,
 * the contexts are freed by the memory context or, for OpenSSL, by the resource owner.
 */
#include "postgres.h"

#include "common/hmac.h"

#include "base/compat.h"
#include "base/digests.h"

/* Raise XX000 with the reason that the server's function gives. */
pg_noreturn static void
raise_digest(const char *reason)
{
	ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a digest: %s", reason)));
}

/* Compute the HMAC of the concatenated pieces.  key is a C string; length is the size of the digest. */
void
flex_hmac(pg_cryptohash_type type, const char *key, const DigestPiece *pieces, int count, uint8 *digest, size_t length)
{
	pg_hmac_ctx *context = pg_hmac_create(type);
	bool good;

	if (context == NULL)
		raise_digest("out of memory");
	good = pg_hmac_init(context, (const uint8 *) key, strlen(key)) == 0;
	for (int i = 0; good && i < count; i++)
		good = pg_hmac_update(context, pieces[i].data, pieces[i].length) == 0;
	if (!good || pg_hmac_final(context, digest, length) < 0)
	{
		char *reason = pstrdup(pg_hmac_error(context));

		pg_hmac_free(context);
		raise_digest(reason);
	}
	pg_hmac_free(context);
}

/* Compute the SHA-256 of a piece. */
void
flex_sha256(DigestPiece piece, uint8 digest[PG_SHA256_DIGEST_LENGTH])
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL)
		raise_digest("out of memory");
	if (pg_cryptohash_init(context) < 0 || pg_cryptohash_update(context, piece.data, piece.length) < 0 ||
		pg_cryptohash_final(context, digest, PG_SHA256_DIGEST_LENGTH) < 0)
	{
		char *reason = pstrdup(pg_cryptohash_error(context));

		pg_cryptohash_free(context);
		raise_digest(reason);
	}
	pg_cryptohash_free(context);
}

/* Return true if the bytes are equal.  The time that this takes does not depend on where they differ. */
bool
flex_digests_are_equal(const void *one, const void *other, size_t length)
{
	const volatile uint8 *a = one;
	const volatile uint8 *b = other;
	uint8 difference = 0;

	for (size_t i = 0; i < length; i++)
		difference |= a[i] ^ b[i];
	return difference == 0;
}
