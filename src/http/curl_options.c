/*
 * curl_options.c
 *		Sets the options of libcurl's easy handles, and interprets libcurl's errors.
 *
 * TLS sessions are shared among the handles, since each request has a handle of its own.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/effective.h"
#include "base/url.h"
#include "http/authorities.h"
#include "http/curl_headers.h"
#include "http/curl_options.h"
#include "http/tls.h"

/* Load balancers close connections that are idle for a minute; do not send a request at that moment. */
#define IDLE_SECONDS 50L
#define CA_CACHE_SECONDS 600L

#define DESCRIPTORS_NEEDED 4     /* to establish a connection */
#define READ_BYTES (512L * 1024) /* read buffer for answers that are never suspended: fits a page of a list */

/* Raise an error unless libcurl has accepted an option (result is a CURLcode). */
void
flex_curl_check(int result)
{
	if (result == CURLE_OUT_OF_MEMORY)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (result != CURLE_OK)
		elog(ERROR, "libcurl refused an option: %s", curl_easy_strerror(result));
}

/* Return the share handle by which all easy handles share TLS sessions, for resumption. */
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
		/* It is not stored, so that the next request tries again. */
		curl_share_cleanup(new_share);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	share = new_share;
	return share;
}

/* CURLOPT_SSL_CTX_FUNCTION callback: a TLS connection is about to be established. */
static CURLcode
watch_connection(CURL *easy, void *ssl_context, void *reads_ahead)
{
	flex_tls_watch(ssl_context, reads_ahead != NULL);
	return CURLE_OK;
}

/* CURLOPT_DEBUGFUNCTION callback: if libcurl reports surplus bytes after an answer, do not reuse the connection. */
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
 * Watch for bytes after an answer, which libcurl reports by verbose messages only.  Setting a
 * flag and a pointer cannot fail.
 */
void
flex_curl_watch_surplus(CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, receive_message);
	curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
}

/*
 * Return true if OpenSSL may read ahead on the connection of a request.  It must not if the
 * answer may be suspended, or if there is a proxy, because a connection to that may be a
 * TLS connection of its own around the one to the server.
 */
bool
flex_curl_reads_ahead(const Endpoint *endpoint, long timeout_ms)
{
	return timeout_ms > 0 && endpoint->proxy[0] == '\0';
}

/* Return the SSL object of an easy handle's connection, or NULL if it has none or is not OpenSSL's. */
void *
flex_curl_ssl(CURL *easy)
{
	struct curl_tlssessioninfo *info = NULL;

	if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == NULL ||
		info->backend != CURLSSLBACKEND_OPENSSL)
		return NULL;
	return info->internals;
}

/* Warn once per session if a TLS library other than OpenSSL is used. */
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

/*
 * Set the options that are the same for all requests.  Those for TLS and for a proxy are set
 * only for requests that have these, because each option costs a hundred instructions.
 */
static void
set_constant_options(CURL *easy)
{
	FLEX_CURL_SET(easy, CURLOPT_NOSIGNAL, 1L);
	/* Do not wait for the thread that resolves a name when a request is canceled. */
	FLEX_CURL_SET(easy, CURLOPT_QUICK_EXIT, 1L);
	FLEX_CURL_SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	FLEX_CURL_SET(easy, CURLOPT_NOPROXY, "");
	FLEX_CURL_SET(easy, CURLOPT_MAXAGE_CONN, IDLE_SECONDS);
}

/*
 * Set method, body and HTTP version.  A new handle is for a GET.  HTTP/2 is used for idempotent
 * requests only: when a server closes a connection (GOAWAY), libcurl does not tell which
 * requests the server has not processed.  is_watched tells that an endless stream of frames is
 * detected (tls.c), without which HTTP/2 is not used either.
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
		/* libcurl 8.7 to 8.17 may see a refusal before it notes that an empty body has been sent, and would close. */
		FLEX_CURL_SET(easy, CURLOPT_KEEP_SENDING_ON_ERROR, request->body.len == 0 ? 1L : 0L);
	}
	if (has_body || !is_get)
		FLEX_CURL_SET(easy, CURLOPT_CUSTOMREQUEST, request->method);
	FLEX_CURL_SET(easy, CURLOPT_HTTP_VERSION,
				  (long) (request->idempotent && is_watched ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
}

/*
 * Return libcurl's version data, with the file (cainfo) and directory (capath) of the
 * system's authorities that it was built to use, each of which may be NULL.
 */
static const curl_version_info_data *
system_authorities(void)
{
	static const curl_version_info_data *info = NULL;

	if (info == NULL)
		info = curl_version_info(CURLVERSION_NOW);
	return info;
}

/*
 * Return a text that identifies the authorities that an endpoint trusts, and changes when
 * they are replaced.  It may be a constant.
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
 * Return true if the system's directory of authorities is to be used rather than its file.
 * From a directory OpenSSL reads the one authority that it needs.  To read all of the file
 * takes 30 ms of CPU time at the first connection and, if both were set, libcurl would read
 * the file for each connection.
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
 * Set where a request goes, both as text and parsed: libcurl composes the one from the other
 * if it lacks the text.  An origin that cannot be parsed is left to libcurl to refuse.
 */
static void
set_origin(CURL *easy, const ParsedOrigin *origin)
{
	FLEX_CURL_SET(easy, CURLOPT_URL, flex_parsed_origin_text(origin));
	if (flex_parsed_origin_parts(origin) != NULL)
		FLEX_CURL_SET(easy, CURLOPT_CURLU, flex_parsed_origin_parts(origin));
}

/*
 * Set what is asked for there: the path of the base URL, which may be empty, followed by the
 * request's target.  libcurl sends it as it is, so nothing may be in it that ends the line.
 */
static void
set_target(CURL *easy, const char *base_path, const char *target)
{
	char *joined = base_path[0] != '\0' ? psprintf("%s%s", base_path, target) : NULL;

	if (joined != NULL)
		target = joined;
	if (!flex_url_is_unbroken(target))
		elog(ERROR, "a request's target is not encoded");
	FLEX_CURL_SET(easy, CURLOPT_REQUEST_TARGET, target);
	if (joined != NULL)
		pfree(joined);
}

/* Set the file or directory of trusted authorities, either of which may be NULL, for server and proxy. */
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
 * If a certificate could not be verified by the system's directory of authorities, make the
 * handle use the system's file instead, because an authority may have been added to that
 * only.  Later requests of this process use the file, too, until the directory changes.
 * *by_directory tells that the directory is in use.  Return false if nothing was changed.
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

/*
 * Set what concerns TLS: cached sessions, minimum version, trusted authorities.  Return true if
 * the latter are the system's directory.
 */
static bool
set_trust(CURL *easy, const Endpoint *endpoint, bool has_proxy)
{
	const char *file = endpoint->ca_file != NULL ? endpoint->ca_file : system_authorities()->cainfo;
	bool by_directory = trusts_directory(endpoint);

	if (endpoint->ca_file != NULL)
		flex_authorities_check_file(endpoint->ca_file);
	FLEX_CURL_SET(easy, CURLOPT_SHARE, session_share());
	FLEX_CURL_SET(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SECONDS);
	FLEX_CURL_SET(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (has_proxy)
		FLEX_CURL_SET(easy, CURLOPT_PROXY_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	flex_curl_check(set_authorities(easy, by_directory || file == NULL ? NULL : flex_authorities_path(file),
									by_directory ? flex_authorities_path(system_authorities()->capath) : NULL,
									has_proxy));
	return by_directory;
}

/*
 * Set URL, proxy and trusted authorities.  Return true if the latter are the system's
 * directory.  *origin is set to the one to release.
 */
static bool
set_route(CURL *easy, const HttpRequest *request, const Endpoint *endpoint, bool is_watched, ParsedOrigin **origin)
{
	bool has_proxy = endpoint->proxy[0] != '\0';
	bool by_directory = false;
	char *url;
	const char *path;

	flex_request_check_size(request);
	url = flex_endpoint_origin(endpoint, request->service);
	path = flex_url_path(url);
	*origin = flex_parsed_origin_acquire(url, path - url);
	set_origin(easy, *origin);
	set_target(easy, path, request->target.data);
	if (!is_watched)
		warn_of_tls_library(url);
	if (has_proxy || pg_strncasecmp(url, "http://", 7) != 0)
		by_directory = set_trust(easy, endpoint, has_proxy);
	pfree(url);
	/* An empty string keeps libcurl from using proxies of the environment. */
	FLEX_CURL_SET(easy, CURLOPT_PROXY, endpoint->proxy);
	/* For the proxy.  The service gets it as one of our headers, which saves libcurl a copy. */
	if (has_proxy)
	{
		FLEX_CURL_SET(easy, CURLOPT_USERAGENT, FLEX_USER_AGENT);
		FLEX_CURL_SET(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	}
	return by_directory;
}

/*
 * Set all options of a handle except callbacks.  timeout_ms limits the whole transfer; 0
 * means no limit, and that reading the answer may be suspended.
 *
 * The caller must call flex_curl_free_inputs() after the handle, also after an error.  Return
 * true if the system's directory of authorities is used, for flex_curl_trust_file().
 */
bool
flex_curl_set_options(CURL *easy, const HttpRequest *request, const Endpoint *endpoint, long timeout_ms,
					  HandleInputs *inputs)
{
	/* For plain http the TLS library is not looked for. */
	bool is_watched = pg_strncasecmp(endpoint->origin, "http://", 7) != 0 && flex_tls_is_known() &&
					  curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, watch_connection) == CURLE_OK;
	bool by_directory;

	if (is_watched)
		FLEX_CURL_SET(easy, CURLOPT_SSL_CTX_DATA, flex_curl_reads_ahead(endpoint, timeout_ms) ? easy : NULL);
	set_constant_options(easy);
	set_method(easy, request, is_watched);
	by_directory = set_route(easy, request, endpoint, is_watched, &inputs->origin);
	FLEX_CURL_SET(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	/*
	 * Suspending one stream of HTTP/2 would suspend the others of its connection, and a few
	 * compressed bytes may expand to many before reading can be suspended.
	 */
	if (timeout_ms == 0)
		FLEX_CURL_SET(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	else
	{
		FLEX_CURL_SET(easy, CURLOPT_BUFFERSIZE, READ_BYTES);
		FLEX_CURL_SET(easy, CURLOPT_ACCEPT_ENCODING, flex_curl_encodings());
	}
	FLEX_CURL_SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) flex_effective_integer(&flex_settings.connect_timeout));
	flex_curl_make_headers(&inputs->headers, request, endpoint, timeout_ms > 0);
	FLEX_CURL_SET(easy, CURLOPT_HTTPHEADER, inputs->headers);
	return by_directory;
}

/* Free what a handle, which has been freed, refers to; it may be nothing yet. */
void
flex_curl_free_inputs(HandleInputs *inputs)
{
	flex_curl_free_headers(inputs->headers);
	flex_parsed_origin_release(inputs->origin);
}

/* Return true if the proxy is the reason why a request was not sent. */
static bool
was_refused_by_proxy(CURL *easy, CURLcode result)
{
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
	return (status != 0 && status / 100 != 2) || result == CURLE_COULDNT_RESOLVE_PROXY ||
		   result == CURLE_COULDNT_CONNECT || result == CURLE_PROXY;
}

/*
 * Return true if this process cannot open as many files as a connection needs: its socket
 * (closed by now), the file of authorities, and those of name resolution.  libcurl reports
 * which of these failed, but not that the reason was a lack of file descriptors.
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
 * Return true if bytes of a compressed body were received that may not have been decoded; to
 * be called if the decoded body is empty.  libcurl detects a truncated body for gzip only:
 * one in brotli or zstd that is cut off near its beginning appears as an empty body.
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
 * Return why a request was not sent, given libcurl's result (a CURLcode) and its message.
 * Only the message tells whether a timeout has occurred in name resolution.
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
