/*
 * url.c
 *		Validates paths and queries of URLs.
 *
 * A path from a caller or an answer is appended to the configured origin, so it cannot lead
 * to another host.  Nor may it address another resource than it seems to: a server may
 * resolve the segments "." and ".." before or after percent-decoding.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/url.h"

#define SERVICE "{service}" /* stands for a product's name in a base URL */
#define HOST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:[]"

/* Return true if a base URL contains {service}, and so can be used for all products. */
bool
flex_url_has_service(const char *url)
{
	return strstr(url, SERVICE) != NULL;
}

/* Return a base URL with a product's name in the place of {service}; palloc'd. */
char *
flex_url_for_service(const char *url, const char *service)
{
	const char *place = strstr(url, SERVICE);

	if (place == NULL)
		return pstrdup(url);
	return psprintf("%.*s%s%s", (int) (place - url), url, service, place + strlen(SERVICE));
}

/* Return true for a segment "." or "..". */
static bool
is_dots(const char *part, size_t length)
{
	return (length == 1 || length == 2) && strspn(part, ".") >= length;
}

/*
 * Return true if a value, which will be percent-encoded, can be a segment of a path.  It must
 * not contain slashes, because a gateway may decode them before it resolves the path.
 */
bool
flex_url_part_is_good(const char *text)
{
	return *text != '\0' && strpbrk(text, "/\\") == NULL && !is_dots(text, strlen(text));
}

/* Return true if no segment of a path, between slashes of either kind, is "." or "..". */
static bool
has_no_dots(const char *path)
{
	for (const char *part = path;; part++)
	{
		size_t length = strcspn(part, "/\\");

		if (is_dots(part, length))
			return false;
		part += length;
		if (*part == '\0')
			return true;
	}
}

/* Return a path with encoded dots and slashes decoded, as a server sees it that decodes before it resolves segments. */
static char *
decode_dots(const char *path, size_t length)
{
	static const char *const codes[][2] = {{"%2e", "."}, {"%2f", "/"}, {"%5c", "\\"}};
	StringInfoData decoded;

	initStringInfo(&decoded);
	for (size_t i = 0; i < length; i++)
	{
		char c = path[i];

		for (size_t j = 0; j < lengthof(codes); j++)
		{
			if (pg_strncasecmp(path + i, codes[j][0], 3) == 0)
			{
				c = codes[j][1][0];
				i += 2;
				break;
			}
		}
		appendStringInfoChar(&decoded, c);
	}
	return decoded.data;
}

/* Return true if no character of a URL, or of a part of one, ends it: a space, a control character, a '#'. */
bool
flex_url_is_unbroken(const char *text)
{
	for (const char *p = text; *p; p++)
	{
		if (*p <= ' ' || *p >= 0x7f || *p == '#')
			return false;
	}
	return true;
}

/*
 * Return true if a target (an encoded path, with or without a query) can be appended to an
 * origin: no segment is "." or "..", and no character ends the URL or is interpreted
 * differently by different parsers.
 */
bool
flex_url_target_is_good(const char *target)
{
	size_t path_length = strcspn(target, "?");

	if (target[0] != '/' || memchr(target, '\\', path_length) != NULL || !flex_url_is_unbroken(target))
		return false;
	return has_no_dots(decode_dots(target, path_length));
}

/* Return the path of a base URL, as a pointer into it; "" if it has none. */
const char *
flex_url_path(const char *url)
{
	const char *host = strstr(url, "://") + 3;

	return host + strcspn(host, "/");
}

/*
 * Return the target of an absolute URL, as a pointer into it; NULL if it has no valid one.  The
 * URL may not have a user, nor unusual characters in its host, because parsers disagree about
 * where the path begins then.
 */
const char *
flex_url_target(const char *url)
{
	const char *host;
	const char *target;

	if (pg_strncasecmp(url, "https://", 8) == 0)
		host = url + 8;
	else if (pg_strncasecmp(url, "http://", 7) == 0)
		host = url + 7;
	else
		return NULL;
	target = host + strspn(host, HOST_CHARACTERS);
	return target > host && flex_url_target_is_good(target) ? target : NULL;
}
