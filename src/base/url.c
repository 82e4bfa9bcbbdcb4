/*
 * url.c
 *		Paths and queries, as URLs have them.
 *
 * What a caller or an answer calls a path is put behind the configured origin,
 * so it cannot name another host.  It must not address another resource either
 * than the one that it spells: a server may resolve "." and ".." before or after
 * it decodes.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/url.h"

#define SERVICE "{service}" /* stands for a product's name in a base URL */
#define HOST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:[]"

/* True when a base URL says where the name of a product goes, and so is for all of them. */
bool
flex_url_has_service(const char *url)
{
	return strstr(url, SERVICE) != NULL;
}

/* A base URL with a product's name where it goes, palloc'd. */
char *
flex_url_for_service(const char *url, const char *service)
{
	const char *place = strstr(url, SERVICE);

	if (place == NULL)
		return pstrdup(url);
	return psprintf("%.*s%s%s", (int) (place - url), url, service, place + strlen(SERVICE));
}

/* True for a part of a path that a server resolves to another one, even after decoding. */
static bool
is_dots(const char *part, size_t length)
{
	return (length == 1 || length == 2) && strspn(part, ".") >= length;
}

/*
 * True when a value, percent-encoded, is one part of a path, and cannot change which
 * resource the path addresses: a gateway may decode a slash before it looks where
 * the path leads.
 */
bool
flex_url_part_is_good(const char *text)
{
	return *text != '\0' && strpbrk(text, "/\\") == NULL && !is_dots(text, strlen(text));
}

/* True when none of the parts of a path, between slashes of either kind, is "." or "..". */
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

/* A path as a server may read it that decodes before it resolves dots. */
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

/*
 * True for an encoded path, with or without a query, that can be put behind an
 * origin: no part leads elsewhere, and no character ends a URL or is read in
 * different ways.
 */
bool
flex_url_target_is_good(const char *target)
{
	size_t path_length = strcspn(target, "?");

	if (target[0] != '/' || memchr(target, '\\', path_length) != NULL)
		return false;
	for (const char *p = target; *p; p++)
	{
		if (*p <= ' ' || *p >= 0x7f || *p == '#')
			return false;
	}
	return has_no_dots(decode_dots(target, path_length));
}

/*
 * The path and query of an absolute URL; NULL where it has none that could be asked
 * for.  What is before it must be a plain host: with a user, or characters that
 * parsers disagree about, it is not clear where the path begins.
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
