/*
 * body.c
 *		The bytes of an answer's body, as they come.
 *
 * They are malloc'd, since callbacks of libcurl's fill them, in which no error may
 * be raised; and they are counted, over all bodies of the process.
 */
#include "postgres.h"

#include "http/body.h"

#define FIRST_CAPACITY ((size_t) 1000) /* which malloc takes from what it has at hand */

static size_t bytes_held; /* by all bodies */

/*
 * Append bytes up to the limit, for what is cut off may still tell a SID; too_large
 * tells whether any were left out.  False when there is no memory.
 */
bool
flex_body_append(Body *body, const char *bytes, size_t length, bool *too_large)
{
	size_t taken = Min(length, body->limit - body->length);
	size_t needed = body->length + taken;

	if (needed > body->capacity)
	{
		size_t capacity = Max(needed, Max(FIRST_CAPACITY, body->capacity * 2));
		char *larger = realloc(body->bytes, capacity);

		if (larger == NULL)
			return false;
		body->bytes = larger;
		body->capacity = capacity;
	}
	memcpy(body->bytes + body->length, bytes, taken);
	body->length = needed;
	bytes_held += taken;
	*too_large = taken < length;
	return true;
}

/* Let go of the bytes. */
void
flex_body_free(Body *body)
{
	bytes_held -= body->length;
	free(body->bytes);
}

/* The bytes that all bodies hold that have not been freed. */
size_t
flex_body_bytes_held(void)
{
	return bytes_held;
}
