/*
 * digests.c
 *		Keyed and plain digests, by the server's own cryptography.
 *
 * The server computes them with its own code or by OpenSSL, as it was built;
 * what OpenSSL refuses (SHA-1 in FIPS mode) is an error here.  What the server
 * keeps for a digest is let go of also when an error ends it, by its resource
 * owner.
 */
#include "postgres.h"

#include "common/hmac.h"

#include "base/compat.h"
#include "base/digests.h"

/* Raise XX000 with the reason that the server's code gives. */
pg_noreturn static void
raise_digest(const char *reason)
{
	ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a digest: %s", reason)));
}

/* The HMAC of the pieces, one after the other, with a key that is a string. */
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

/* The SHA-256 of a piece. */
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

/* True when the bytes are the same; the time that it takes does not tell where they differ. */
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
