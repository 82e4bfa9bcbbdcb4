/*
 * address.c
 *		Validates addresses in settings: of the service, and of proxies.
 *
 * Credentials are sent to these addresses.  Therefore the check is strict, and refuses
 * everything that different parsers may interpret differently.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/address.h"
#include "base/url.h"

/*
 * Return the length of the port at the beginning of a text, including its colon; 0 if there
 * is none, -1 if it is not a number from 1 to 65535.
 */
static int
port_length(const char *text)
{
	int digits;

	if (text[0] != ':')
		return 0;
	digits = strspn(text + 1, "0123456789");
	if (digits < 1 || digits > 5 || atoi(text + 1) > 65535 || atoi(text + 1) == 0)
		return -1;
	return digits + 1;
}

/* Return the length of the host name, or address in brackets, at the beginning of a text; 0 if there is none. */
static int
host_length(const char *text)
{
	if (text[0] == '[')
	{
		int inside = strspn(text + 1, "0123456789abcdefABCDEF:.");

		return inside > 0 && text[inside + 1] == ']' ? inside + 2 : 0;
	}
	return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._");
}

/* Return true for a path that may precede those of requests, or none: without escapes and empty or dot segments. */
static bool
is_base_path(const char *text)
{
	while (*text == '/')
	{
		const char *part = ++text;
		size_t length = strspn(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~");

		text += length;
		if (length == 0 || strspn(part, ".") == length)
			return length == 0 && *text == '\0';
	}
	return *text == '\0';
}

/* Return true for a loopback address, or localhost. */
static bool
is_loopback(const char *host, int length)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr address;

	if (length == 9 && pg_strncasecmp(host, "localhost", 9) == 0)
		return true;
	if (length == 5 && strncmp(host, "[::1]", 5) == 0)
		return true;
	strlcpy(text, host, Min((size_t) length + 1, sizeof(text)));
	return (size_t) length < sizeof(text) && inet_pton(AF_INET, text, &address) == 1 &&
		   (ntohl(address.s_addr) >> 24) == IN_LOOPBACKNET;
}

/* Return why a URL is not valid as flex_api.base_url, as a sentence; NULL if it is valid. */
const char *
flex_base_url_fault(const char *configured)
{
	const char *url = flex_url_for_service(configured, "flex-api");
	bool secure = pg_strncasecmp(url, "https://", 8) == 0;
	const char *rest;
	int host;
	int port;

	if (!secure && pg_strncasecmp(url, "http://", 7) != 0)
		return "The URL must begin with \"https://\".";
	rest = url + (secure ? 8 : 7);
	host = host_length(rest);
	port = host > 0 ? port_length(rest + host) : -1;
	if (port < 0 || !is_base_path(rest + host + port))
		return "The URL must be a scheme, a host and if need be a port and a path, such as "
			   "\"https://flex-api.twilio.com\".";
	if (!secure && !is_loopback(rest, host))
		return "Plain http is accepted for loopback addresses only, since it shows the credentials.";
	return NULL;
}

/* Return true for a valid URL of a proxy, with or without user and password. */
bool
flex_proxy_url_is_good(const char *url)
{
	static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://"};
	const char *rest = NULL;
	int host;
	int port;

	for (size_t i = 0; i < lengthof(schemes) && rest == NULL; i++)
	{
		if (pg_strncasecmp(url, schemes[i], strlen(schemes[i])) == 0)
			rest = url + strlen(schemes[i]);
	}
	if (rest != NULL && strrchr(rest, '@') != NULL)
		rest = strrchr(rest, '@') + 1;
	host = rest != NULL ? host_length(rest) : 0;
	port = host > 0 ? port_length(rest + host) : -1;
	return port >= 0 && strcmp(rest + host + port, strspn(rest + host + port, "/") ? "/" : "") == 0 &&
		   strpbrk(url, " \t\r\n") == NULL;
}
