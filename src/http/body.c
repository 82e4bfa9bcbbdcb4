/*
 * body.c
 *		A buffer for the body of an answer.
 *
 * The buffer is malloc'd, since it is filled by libcurl's callbacks, where no error may be
 * raised.  The bytes in all buffers of the process are counted, for backpressure.c.
 */
#include "postgres.h"

#include "http/body.h"

#define FIRST_CAPACITY ((size_t) 1000) /* small enough for malloc's cache of freed chunks */

static size_t bytes_held; /* total length of all bodies */

/*
 * Append bytes up to the limit, and set *too_large to whether any were left out.  The
 * bytes up to the limit are kept, because a SID may be found in them.  Return false if out
 * of memory.
 */
bool
flex_body_append(Body *body, const char *bytes, size_t length, bool *too_large)
{
	size_t taken = Min(length, body->limit - body->length);
	size_t needed = body->length + taken;

	Assert(body->length <= body->limit);
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

/* Free the bytes of a body, but not the structure, which must not be used any more. */
void
flex_body_free(Body *body)
{
	Assert(bytes_held >= body->length);
	bytes_held -= body->length;
	free(body->bytes);
}

/* Return the total length of all bodies that have not been freed. */
size_t
flex_body_bytes_held(void)
{
	return bytes_held;
}
