/*
 * digests.h
 *		HMAC and SHA-256, by the server's own functions.
 */
#ifndef FLEX_DIGESTS_H
#define FLEX_DIGESTS_H

#include "common/cryptohash.h"
#include "common/sha1.h"
#include "common/sha2.h"

/* A piece of the data. */
typedef struct DigestPiece
{
	const void *data;
	size_t length;
} DigestPiece;

extern void
flex_hmac(pg_cryptohash_type type, const char *key, const DigestPiece *pieces, int count, uint8 *digest, size_t length);
extern void flex_sha256(DigestPiece piece, uint8 digest[PG_SHA256_DIGEST_LENGTH]);
extern bool flex_digests_are_equal(const void *one, const void *other, size_t length);

#endif /* FLEX_DIGESTS_H */
