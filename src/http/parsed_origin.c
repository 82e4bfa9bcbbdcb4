/*
 * parsed_origin.c
 *		Scheme, host and port of a server, parsed by libcurl once for many requests.
 *
 * libcurl parses the URL of each request byte by byte, and 7.88 also composes it anew from
 * its parts.  Nearly all requests of a session go to the same server, and the rest of the
 * URL is sent as it is (CURLOPT_REQUEST_TARGET).  So the origin that was used last is kept,
 * and stays when a request fails.  It contains no secret: an origin has no user.
 *
 * An easy handle refers to the parsed origin as long as the handle exists.  So the users are
 * counted, and one that has been replaced as the last is freed with its last user.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "http/parsed_origin.h"

struct ParsedOrigin
{
	CURLU *parts; /* NULL if the text cannot be parsed */
	int users;
	char text[FLEXIBLE_ARRAY_MEMBER];
};

static ParsedOrigin *latest; /* allocated with malloc, like all of them */

static void
free_origin(ParsedOrigin *origin)
{
	curl_url_cleanup(origin->parts);
	free(origin);
}

/* Parse an origin, without users.  Raise an error if out of memory. */
static ParsedOrigin *
parse_origin(const char *text, size_t length)
{
	ParsedOrigin *origin = calloc(1, offsetof(ParsedOrigin, text) + length + 1);
	CURLU *parts = curl_url();

	if (origin == NULL || parts == NULL)
	{
		curl_url_cleanup(parts);
		free(origin);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	memcpy(origin->text, text, length);
	if (curl_url_set(parts, CURLUPART_URL, origin->text, 0) == CURLUE_OK)
		origin->parts = parts;
	else
		curl_url_cleanup(parts);
	return origin;
}

/* Make an origin the latest one. */
static void
replace_latest(ParsedOrigin *origin)
{
	if (latest != NULL && latest->users == 0)
		free_origin(latest);
	latest = origin;
}

/*
 * Return the origin that is so many bytes of a text.  The caller must release it after the
 * easy handles that it is set in.
 */
ParsedOrigin *
flex_parsed_origin_acquire(const char *text, size_t length)
{
	if (latest == NULL || strncmp(latest->text, text, length) != 0 || latest->text[length] != '\0')
		replace_latest(parse_origin(text, length));
	latest->users++;
	return latest;
}

/* Like free(), this does nothing if there is none. */
void
flex_parsed_origin_release(ParsedOrigin *origin)
{
	if (origin == NULL)
		return;
	Assert(origin->users > 0);
	origin->users--;
	if (origin->users == 0 && origin != latest)
		free_origin(origin);
}

const char *
flex_parsed_origin_text(const ParsedOrigin *origin)
{
	return origin->text;
}

/* Return it as a CURLU of libcurl, or NULL if libcurl cannot parse it. */
void *
flex_parsed_origin_parts(const ParsedOrigin *origin)
{
	return origin->parts;
}
