/*
 * webhook_url.c
 *		The forms of a webhook's URL that the service may have signed.
 *
 * The service signs the URL that was configured there.  On its way to the receiver, proxies
 * may add or remove the port, or encode characters.  Therefore the same forms are tried as
 * by the official Node client (6.2.0): the URL as received and as normalized by the URL
 * Standard (url.spec.whatwg.org), both with and without the port, and the normalized ones
 * also with a rewritten query (webhook_query.c).
 *
 * Normalization is implemented for the schemes http and https, and for hosts that are ASCII
 * names or addresses in canonical form.  Other URLs, such as those with internationalized
 * names or addresses like 0x7f.1, are tried only as received.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "lib/stringinfo.h"

#include "answer/webhook_query.h"
#include "answer/webhook_url.h"

/* Characters that are encoded, besides control characters and all that are not ASCII. */
#define ENCODED_IN_PATH " \"#<>?`{}"
#define ENCODED_IN_QUERY " \"#<>'"
#define ENCODED_IN_FRAGMENT " \"<>`"
#define ENCODED_IN_USER ENCODED_IN_PATH "/:;=@[\\]^|"
#define FORBIDDEN_IN_HOST " #/:<>?@[\\]^|%\x7f"

/* Pointers to the parts of a URL SCHEME://USER@HOST:PORT/REST */
typedef struct Parts
{
	const char *host;
	const char *port; /* the colon; if there is no port, equal to rest */
	const char *rest; /* path, query and fragment */
} Parts;

/* Find the parts of a URL.  Return false if it does not begin with SCHEME:// */
static bool
split(const char *url, Parts *parts)
{
	const char *scheme_end = url;
	const char *at;
	const char *bracket = NULL;

	if (!isalpha((unsigned char) *url) || IS_HIGHBIT_SET(*url))
		return false;
	while (!IS_HIGHBIT_SET(*scheme_end) &&
		   (isalnum((unsigned char) *scheme_end) || (*scheme_end && strchr("+.-", *scheme_end) != NULL)))
		scheme_end++;
	if (strncmp(scheme_end, "://", 3) != 0)
		return false;
	parts->host = scheme_end + 3;
	parts->rest = parts->host + strcspn(parts->host, "/?#");
	for (at = parts->host; at < parts->rest; at++)
	{
		if (*at == '@')
			parts->host = at + 1;
	}
	for (at = parts->host; at < parts->rest; at++)
	{
		if (*at == ']')
			bracket = at + 1;
	}
	/* In [an IPv6 address], colons do not begin the port. */
	parts->port = bracket != NULL ? bracket : parts->host;
	while (parts->port < parts->rest && *parts->port != ':')
		parts->port++;
	return true;
}

/* Return a URL without its port; palloc'd. */
static char *
without_port(const char *url)
{
	Parts parts;

	if (!split(url, &parts))
		return pstrdup(url);
	return psprintf("%.*s%s", (int) (parts.port - url), url, parts.rest);
}

/* Return a URL with its port, or the default port of its scheme; palloc'd. */
static char *
with_port(const char *url)
{
	Parts parts;

	if (!split(url, &parts) || parts.port < parts.rest)
		return pstrdup(url);
	return psprintf("%.*s:%s%s", (int) (parts.port - url), url, pg_strncasecmp(url, "https://", 8) == 0 ? "443" : "80",
					parts.rest);
}

/* Append a text of the given length, percent-encoding control characters, non-ASCII bytes, and the given characters. */
static void
append_encoded(StringInfo to, const char *text, size_t length, const char *characters)
{
	for (size_t i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (c < 0x20 || c >= 0x7F || strchr(characters, c) != NULL)
			appendStringInfo(to, "%%%02X", c);
		else
			appendStringInfoChar(to, (char) c);
	}
}

/* Append user and password, normalized, and an @; nothing if both are empty. */
static void
append_user(StringInfo to, const char *text, size_t length)
{
	const char *colon = memchr(text, ':', length);
	size_t user_length = colon != NULL ? (size_t) (colon - text) : length;
	size_t password_length = colon != NULL ? length - user_length - 1 : 0;

	if (user_length + password_length == 0)
		return;
	append_encoded(to, text, user_length, ENCODED_IN_USER);
	if (password_length > 0)
	{
		appendStringInfoChar(to, ':');
		append_encoded(to, colon + 1, password_length, ENCODED_IN_USER);
	}
	appendStringInfoChar(to, '@');
}

/* Return true for an address in canonical form. */
static bool
is_usual_address(int family, const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];
	char usual[INET6_ADDRSTRLEN];

	return inet_pton(family, text, address) == 1 && inet_ntop(family, address, usual, sizeof(usual)) != NULL &&
		   strcmp(usual, text) == 0;
}

/* Return true if the last label of a host is a number.  The Standard takes such a host for an IPv4 address. */
static bool
ends_in_number(const char *host)
{
	size_t length = strlen(host);
	const char *last;

	if (length > 0 && host[length - 1] == '.')
		length--;
	last = host + length;
	while (last > host && last[-1] != '.')
		last--;
	length -= last - host;
	return length > 0 && (strspn(last, "0123456789") >= length || strncmp(last, "0x", 2) == 0);
}

/* Append a host in lower case.  Return false if normalization of such a host is not implemented, or it is invalid. */
static bool
append_host(StringInfo to, const char *text, size_t length)
{
	char *host = pnstrdup(text, length);

	for (char *p = host; *p; p++)
	{
		if (IS_HIGHBIT_SET(*p))
			return false;
		*p = pg_ascii_tolower((unsigned char) *p);
	}
	appendStringInfoString(to, host);
	if (host[0] == '[')
	{
		if (host[length - 1] != ']' || strchr(host, '.') != NULL)
			return false;
		host[length - 1] = '\0';
		return is_usual_address(AF_INET6, host + 1);
	}
	if (length == 0 || strpbrk(host, FORBIDDEN_IN_HOST) != NULL)
		return false;
	for (const char *p = host; *p; p++)
	{
		if (iscntrl((unsigned char) *p))
			return false;
	}
	return !ends_in_number(host) || is_usual_address(AF_INET, host);
}

/* Append a port unless it is the scheme's default.  Return false if it is invalid. */
static bool
append_port(StringInfo to, const char *text, const char *end, int standard)
{
	size_t length = end - text;
	int port = 0;

	if (strspn(text, "0123456789") < length)
		return false;
	for (; text < end; text++)
	{
		port = port * 10 + (*text - '0');
		if (port > 65535)
			return false;
	}
	if (length > 0 && port != standard)
		appendStringInfo(to, ":%d", port);
	return true;
}

/* Return 1 or 2 if a segment of a path is "." or "..", each dot possibly percent-encoded; otherwise 0. */
static int
dots_of(const char *part, size_t length)
{
	int dots = 0;

	while (length > 0)
	{
		size_t step = part[0] == '.' ? 1 : length >= 3 && pg_strncasecmp(part, "%2e", 3) == 0 ? 3 : 0;

		if (step == 0 || ++dots > 2)
			return 0;
		part += step;
		length -= step;
	}
	return dots;
}

/* Append a path of the given length, with the segments "." and ".." resolved. */
static void
append_path(StringInfo to, const char *path, size_t length)
{
	int root = to->len;
	const char *end = path + length;

	if (path < end)
		path++;
	for (;;)
	{
		size_t part = strcspn(path, "/\\?#");
		bool is_last = path + part >= end;
		int dots = dots_of(path, part);

		if (dots == 2)
		{
			while (to->len > root && to->data[to->len - 1] != '/')
				to->len--;
			to->len = Max(root, to->len - 1);
			to->data[to->len] = '\0';
		}
		else if (dots == 0)
		{
			appendStringInfoChar(to, '/');
			append_encoded(to, path, part, ENCODED_IN_PATH);
		}
		if (is_last && dots > 0)
			appendStringInfoChar(to, '/');
		if (is_last)
			return;
		path += part + 1;
	}
}

/* Return a copy without spaces and control characters at its ends, and without tabs and newlines anywhere. */
static char *
trimmed(const char *url)
{
	char *copy;
	char *to;
	size_t length;

	while (*url && (unsigned char) *url <= ' ')
		url++;
	length = strlen(url);
	while (length > 0 && (unsigned char) url[length - 1] <= ' ')
		length--;
	copy = to = palloc(length + 1);
	for (size_t i = 0; i < length; i++)
	{
		if (url[i] != '\t' && url[i] != '\n' && url[i] != '\r')
			*to++ = url[i];
	}
	*to = '\0';
	return copy;
}

/* Return a URL as normalized by the URL Standard; NULL if that is not implemented for it, or it is invalid. */
static char *
standard_form(const char *url)
{
	const char *text = trimmed(url);
	bool secure = pg_strncasecmp(text, "https:", 6) == 0;
	const char *user;
	const char *rest;
	Parts parts;
	size_t query;
	StringInfoData result;

	if (!secure && pg_strncasecmp(text, "http:", 5) != 0)
		return NULL;
	user = text + (secure ? 6 : 5);
	user += strspn(user, "/\\");
	initStringInfo(&result);
	appendStringInfoString(&result, secure ? "https://" : "http://");
	rest = user + strcspn(user, "/\\?#");
	if (!split(psprintf("%s%.*s", result.data, (int) (rest - user), user), &parts))
		return NULL;
	/* parts refers to a copy, but the text between scheme and path has the same length there. */
	append_user(&result, user, Max(0, (rest - user) - (parts.rest - parts.host) - 1));
	if (!append_host(&result, parts.host, parts.port - parts.host) ||
		!append_port(&result, parts.port < parts.rest ? parts.port + 1 : parts.rest, parts.rest, secure ? 443 : 80))
		return NULL;
	query = strcspn(rest, "?#");
	append_path(&result, rest, query);
	rest += query;
	if (*rest == '?')
	{
		size_t length = strcspn(++rest, "#");

		appendStringInfoChar(&result, '?');
		append_encoded(&result, rest, length, ENCODED_IN_QUERY);
		rest += length;
	}
	if (*rest == '#')
	{
		appendStringInfoChar(&result, '#');
		append_encoded(&result, rest + 1, strlen(rest + 1), ENCODED_IN_FRAGMENT);
	}
	return result.data;
}

/* Set forms to the forms of a URL, which is in UTF-8, and return their number; all are palloc'd. */
int
flex_webhook_url_forms(const char *url, char *forms[FLEX_WEBHOOK_URL_FORMS])
{
	char *standard = standard_form(url);
	int count = 0;

	forms[count++] = without_port(url);
	forms[count++] = with_port(url);
	if (standard == NULL)
		return count;
	forms[count++] = without_port(standard);
	forms[count++] = with_port(standard);
	forms[count] = flex_webhook_query_rewritten(forms[count - 2]);
	count++;
	forms[count] = flex_webhook_query_rewritten(forms[count - 2]);
	count++;
	Assert(count == FLEX_WEBHOOK_URL_FORMS);
	return count;
}
