/*
 * curl_options.c
 *		What a request is to libcurl: the options of an easy handle, and why it was not sent.
 *
 * TLS sessions are kept beside the handles, of which each request has its own.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/effective.h"
#include "http/authorities.h"
#include "http/curl_options.h"
#include "http/tls.h"

/* Load balancers close what is idle for a minute: do not send into that. */
#define IDLE_SECONDS 50L
#define CA_CACHE_SECONDS 600L

#define USER_AGENT "flex_api/" FLEX_API_VERSION " (PostgreSQL " PG_MAJORVERSION ")"

#define DESCRIPTORS_NEEDED 4     /* for a connection */
#define READ_BYTES (512L * 1024) /* at once, of an answer that need not be held back: more than a page of a list has */

/* Raise unless an option was taken: a request without it would be another one. */
void
flex_curl_check(int result)
{
	if (result == CURLE_OUT_OF_MEMORY)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (result != CURLE_OK)
		elog(ERROR, "libcurl refused an option: %s", curl_easy_strerror(result));
}

/* Where the TLS sessions are kept, for the next connection to the same server. */
static CURLSH *
session_share(void)
{
	static CURLSH *share = NULL;
	CURLSH *new_share;

	if (share != NULL)
		return share;
	new_share = curl_share_init();
	if (new_share == NULL || curl_share_setopt(new_share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK)
	{
		/* The next request tries again. */
		curl_share_cleanup(new_share);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	share = new_share;
	return share;
}

/* A TLS connection is about to be made. */
static CURLcode
watch_connection(CURL *easy, void *ssl_context, void *reads_ahead)
{
	flex_tls_watch(ssl_context, reads_ahead != NULL);
	return CURLE_OK;
}

/* libcurl says something, where it was asked to (CURLOPT_VERBOSE): of bytes that are too many, perhaps. */
static int
receive_message(CURL *easy, curl_infotype type, char *text, size_t length, void *unused)
{
	static const char *const signs[] = {"Excess found", "Leftovers after chunking"};

	for (size_t i = 0; type == CURLINFO_TEXT && i < lengthof(signs); i++)
	{
		if (length >= strlen(signs[i]) && memcmp(text, signs[i], strlen(signs[i])) == 0)
			curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	}
	return 0;
}

/*
 * True when the TLS library may read more of a request's connection than libcurl asks for:
 * the answer is not held back, and no proxy may have a TLS connection of its own around it.
 */
bool
flex_curl_reads_ahead(const Endpoint *endpoint, long timeout_ms)
{
	return timeout_ms > 0 && endpoint->proxy[0] == '\0';
}

/* OpenSSL's object of the connection that a handle has; NULL: it has no such connection. */
void *
flex_curl_ssl(CURL *easy)
{
	struct curl_tlssessioninfo *info = NULL;

	if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == NULL ||
		info->backend != CURLSSLBACKEND_OPENSSL)
		return NULL;
	return info->internals;
}

/* Say once a session that libcurl was built with a TLS library other than OpenSSL. */
static void
warn_of_tls_library(const char *url)
{
	static bool has_warned = false;

	if (has_warned || pg_strncasecmp(url, "https://", 8) != 0)
		return;
	has_warned = true;
	ereport(WARNING,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("libcurl's TLS library is not supported: %s", curl_version_info(CURLVERSION_NOW)->ssl_version),
			 errdetail("Over TLS, an unrequested answer can be taken for the answer to the next request."),
			 errhint("Build flex_api with a libcurl that uses OpenSSL, and restart the server.")));
}

/* Options that all requests have. */
static void
set_constant_options(CURL *easy)
{
	FLEX_CURL_SET(easy, CURLOPT_SHARE, session_share());
	FLEX_CURL_SET(easy, CURLOPT_NOSIGNAL, 1L);
	/* A cancel must not wait for the resolver's thread. */
	FLEX_CURL_SET(easy, CURLOPT_QUICK_EXIT, 1L);
	FLEX_CURL_SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	FLEX_CURL_SET(easy, CURLOPT_ACCEPT_ENCODING, "");
	FLEX_CURL_SET(easy, CURLOPT_PATH_AS_IS, 1L);
	FLEX_CURL_SET(easy, CURLOPT_NOPROXY, "");
	FLEX_CURL_SET(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	FLEX_CURL_SET(easy, CURLOPT_DEBUGFUNCTION, receive_message);
	FLEX_CURL_SET(easy, CURLOPT_MAXAGE_CONN, IDLE_SECONDS);
	FLEX_CURL_SET(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SECONDS);
}

/*
 * Method and body, and the version: HTTP/2 is for what may be repeated, since
 * libcurl does not tell which requests a server has given up unread (GOAWAY);
 * and only where a connection can be ended on which frames come without end.
 */
static void
set_method(CURL *easy, const HttpRequest *request, bool is_watched)
{
	bool is_get = strcmp(request->method, "GET") == 0;
	bool has_body = request->content_type != NULL;

	if (has_body)
	{
		FLEX_CURL_SET(easy, CURLOPT_POSTFIELDSIZE, (long) request->body.len);
		FLEX_CURL_SET(easy, CURLOPT_COPYPOSTFIELDS, request->body.data);
	}
	else
		FLEX_CURL_SET(easy, CURLOPT_HTTPGET, 1L);
	FLEX_CURL_SET(easy, CURLOPT_CUSTOMREQUEST, is_get && !has_body ? NULL : request->method);
	FLEX_CURL_SET(easy, CURLOPT_HTTP_VERSION,
				  (long) (request->idempotent && is_watched ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
}

/* How libcurl was built: with which file and directory of the system's authorities, each NULL where it has none. */
static const curl_version_info_data *
system_authorities(void)
{
	static const curl_version_info_data *info = NULL;

	if (info == NULL)
		info = curl_version_info(CURLVERSION_NOW);
	return info;
}

/*
 * The path of what an endpoint trusts, a file of authorities or the system's, another text since
 * that was replaced.
 */
const char *
flex_curl_authorities(const Endpoint *endpoint)
{
	if (endpoint->ca_file != NULL)
		return flex_authorities_path(endpoint->ca_file);
	return psprintf("%s %s",
					system_authorities()->capath != NULL ? flex_authorities_path(system_authorities()->capath) : "",
					system_authorities()->cainfo != NULL ? flex_authorities_path(system_authorities()->cainfo) : "");
}

/*
 * True when a request to an endpoint trusts the system's directory of authorities, of which
 * OpenSSL reads the one that it needs.  All of the system's file are 30 ms of CPU for the first
 * connection; with both, libcurl would read that file for each.
 */
static bool
trusts_directory(const Endpoint *endpoint)
{
	if (endpoint->ca_file != NULL || system_authorities()->capath == NULL)
		return false;
	return system_authorities()->cainfo == NULL ||
		   (flex_tls_is_known() && flex_authorities_will_do(system_authorities()->capath));
}

/*
 * Set the request's address, and its parts, of which libcurl 7.88 would compose the address
 * anew: a tenth of its instructions for a call.  What it cannot take apart, it refuses.
 */
static void
set_address(CURL *easy, const char *url, CURLU **parts)
{
	FLEX_CURL_SET(easy, CURLOPT_URL, url);
	*parts = curl_url();
	if (*parts == NULL)
		flex_curl_check(CURLE_OUT_OF_MEMORY);
	if (curl_url_set(*parts, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK)
		FLEX_CURL_SET(easy, CURLOPT_CURLU, *parts);
}

/* Set the authorities that are trusted, those of a file or of a directory, also for a proxy that is spoken to by TLS. */
static CURLcode
set_authorities(CURL *easy, const char *file, const char *directory, bool has_proxy)
{
	CURLcode result = curl_easy_setopt(easy, CURLOPT_CAPATH, directory);

	if (result == CURLE_OK)
		result = curl_easy_setopt(easy, CURLOPT_CAINFO, file);
	if (result == CURLE_OK && has_proxy)
		result = curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, directory);
	if (result == CURLE_OK && has_proxy)
		result = curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, file);
	return result;
}

/*
 * True when a server was refused by the system's directory of authorities, *by_directory, and the
 * handle now trusts the system's file, to which one may have been added alone.  So do later
 * requests of this process, until the directory changes.
 */
bool
flex_curl_trust_file(CURL *easy, int result, bool has_proxy, bool *by_directory)
{
	const char *file = system_authorities()->cainfo;

	if (!*by_directory || result != CURLE_PEER_FAILED_VERIFICATION || file == NULL)
		return false;
	*by_directory = false;
	flex_authorities_did_not_do(system_authorities()->capath);
	return set_authorities(easy, flex_authorities_path(file), NULL, has_proxy) == CURLE_OK;
}

/* Which authorities are trusted: true when they are those of the system's directory. */
static bool
set_trust(CURL *easy, const Endpoint *endpoint, bool has_proxy)
{
	const char *file = endpoint->ca_file != NULL ? endpoint->ca_file : system_authorities()->cainfo;
	bool by_directory = trusts_directory(endpoint);

	if (endpoint->ca_file != NULL)
		flex_authorities_check_file(endpoint->ca_file);
	FLEX_CURL_SET(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (has_proxy)
		FLEX_CURL_SET(easy, CURLOPT_PROXY_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	flex_curl_check(set_authorities(easy, by_directory || file == NULL ? NULL : flex_authorities_path(file),
									by_directory ? flex_authorities_path(system_authorities()->capath) : NULL,
									has_proxy));
	return by_directory;
}

/* Where the request goes, and whom it trusts there: true when that is the system's directory of authorities. */
static bool
set_route(CURL *easy, const HttpRequest *request, const Endpoint *endpoint, bool is_watched, CURLU **parts)
{
	bool has_proxy = endpoint->proxy[0] != '\0';
	bool by_directory = false;
	char *origin;
	char *url;

	flex_request_check_size(request);
	origin = flex_endpoint_origin(endpoint, request->service);
	url = psprintf("%s%s", origin, request->target.data);
	set_address(easy, url, parts);
	if (!is_watched)
		warn_of_tls_library(url);
	if (has_proxy || pg_strncasecmp(url, "http://", 7) != 0)
		by_directory = set_trust(easy, endpoint, has_proxy);
	pfree(url);
	pfree(origin);
	/* An empty proxy keeps libcurl from those of the environment. */
	FLEX_CURL_SET(easy, CURLOPT_PROXY, endpoint->proxy);
	/* To the service it is a header like others, which libcurl copies once less. */
	if (has_proxy)
		FLEX_CURL_SET(easy, CURLOPT_USERAGENT, USER_AGENT);
	return by_directory;
}

/* Add a header line to the request. */
static void
append_header(struct curl_slist **headers, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*headers, line);

	if (longer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	*headers = longer;
}

/* Add "name: value", leaving no copy behind: the value may be a secret. */
static void
append_header_value(struct curl_slist **headers, const char *name, const char *value)
{
	char *line = psprintf("%s: %s", name, value);

	append_header(headers, line);
	explicit_bzero(line, strlen(line));
	pfree(line);
}

/*
 * Everything that the handle has to know but its callbacks and headers.
 * timeout_ms bounds the whole transfer; with 0 the answer may be held back.
 * *parts, of the address, is the caller's to free after the handle, also after an error.
 * True when the system's directory of authorities is trusted: see flex_curl_trust_file().
 */
bool
flex_curl_set_options(CURL *easy, const HttpRequest *request, const Endpoint *endpoint, long timeout_ms, CURLU **parts)
{
	/* Without TLS nothing is looked up in its library. */
	bool is_watched = pg_strncasecmp(endpoint->origin, "http://", 7) != 0 && flex_tls_is_known() &&
					  curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, watch_connection) == CURLE_OK;
	bool by_directory;

	if (is_watched)
		FLEX_CURL_SET(easy, CURLOPT_SSL_CTX_DATA, flex_curl_reads_ahead(endpoint, timeout_ms) ? easy : NULL);
	set_constant_options(easy);
	set_method(easy, request, is_watched);
	by_directory = set_route(easy, request, endpoint, is_watched, parts);
	FLEX_CURL_SET(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	if (timeout_ms > 0)
		FLEX_CURL_SET(easy, CURLOPT_BUFFERSIZE, READ_BYTES);
	else
	{
		/* A stream cannot be held back without its neighbours, nor what a few packed bytes become. */
		FLEX_CURL_SET(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
		FLEX_CURL_SET(easy, CURLOPT_ACCEPT_ENCODING, NULL);
	}
	FLEX_CURL_SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) flex_effective_integer(&flex_settings.connect_timeout));
	return by_directory;
}

/* Set the request's headers.  *headers is the caller's to free, also after an error. */
void
flex_curl_set_headers(CURL *easy, const HttpRequest *request, const Endpoint *endpoint, struct curl_slist **headers)
{
	ListCell *cell;

	append_header(headers, "Accept: application/json");
	append_header(headers, "User-Agent: " USER_AGENT);
	if (request->content_type != NULL)
	{
		append_header(headers, "Expect:");
		append_header_value(headers, "Content-Type", request->content_type);
	}
	if (endpoint->authorization != NULL)
		append_header_value(headers, "Authorization", endpoint->authorization);
	foreach (cell, request->headers)
		append_header(headers, lfirst(cell));
	FLEX_CURL_SET(easy, CURLOPT_HTTPHEADER, *headers);
}

/* True when it is the proxy that let nothing through. */
static bool
was_refused_by_proxy(CURL *easy, CURLcode result)
{
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
	return (status != 0 && status / 100 != 2) || result == CURLE_COULDNT_RESOLVE_PROXY ||
		   result == CURLE_COULDNT_CONNECT || result == CURLE_PROXY;
}

/*
 * True when this process cannot open so many files as a connection takes: its own socket, by now
 * closed, the file of authorities, what a look-up takes.  libcurl says what it missed, and not why.
 */
static bool
lacks_descriptors(void)
{
	int opened[DESCRIPTORS_NEEDED];
	int count = 0;
	bool is_lacking = false;

	while (count < DESCRIPTORS_NEEDED && !is_lacking)
	{
		opened[count] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		is_lacking = opened[count] < 0;
		count += is_lacking ? 0 : 1;
	}
	is_lacking = is_lacking && (errno == EMFILE || errno == ENFILE);
	while (count > 0)
		close(opened[--count]);
	return is_lacking;
}

/*
 * True when bytes of a body came, and its encoding made nothing of them: one of brotli or zstd that
 * breaks off near its beginning is an empty body to libcurl, which looks for the end of gzip's alone.
 */
bool
flex_curl_has_undecoded(CURL *easy)
{
	struct curl_header *encoding = NULL;
	curl_off_t received = 0;

	return curl_easy_header(easy, "Content-Encoding", 0, CURLH_HEADER, -1, &encoding) == CURLHE_OK &&
		   (pg_strcasecmp(encoding->value, "br") == 0 || pg_strcasecmp(encoding->value, "zstd") == 0) &&
		   curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &received) == CURLE_OK && received > 0;
}

/*
 * Why a request was not sent that ended with this result; failure is what libcurl says.  A
 * name that is not resolved in the time that there is for a connection is known by that.
 */
UnsentCause
flex_curl_unsent_cause(CURL *easy, int result, bool has_proxy, const char *failure)
{
	static const char late[] = "Resolving timed out";

	if (has_proxy && was_refused_by_proxy(easy, result))
		return UNSENT_NO_PROXY;
	if ((result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_SSL_CACERT_BADFILE ||
		 result == CURLE_PEER_FAILED_VERIFICATION) &&
		lacks_descriptors())
		return UNSENT_NO_DESCRIPTOR;
	switch (result)
	{
		case CURLE_COULDNT_RESOLVE_HOST:
			return UNSENT_NOT_RESOLVED;
		case CURLE_OPERATION_TIMEDOUT:
			return strncmp(failure, late, strlen(late)) == 0 ? UNSENT_NOT_RESOLVED : UNSENT_OTHERWISE;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
		case CURLE_SSL_CERTPROBLEM:
			return UNSENT_NOT_TRUSTED;
		default:
			return UNSENT_OTHERWISE;
	}
}
