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

#define HOST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:[]"

/*
 * True when a value, percent-encoded, cannot change which resource a path addresses:
 * it is not empty, and none of the parts between its slashes is "." or "..".
 */
bool
flex_path_value_is_safe(const char *text)
{
	const char *part = text;

	if (*text == '\0')
		return false;
	for (;;)
	{
		size_t length = strcspn(part, "/\\");

		if ((length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (part[length] == '\0')
			return true;
		part += length + 1;
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
	return flex_path_value_is_safe(decode_dots(target, path_length));
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
