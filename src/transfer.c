/*
 * transfer.c
 *		One request and its answer, as an easy handle of libcurl.
 *
 * Handles are kept for the next request, with what does not change: their
 * options, their TLS sessions.  No error is raised in a callback: it would
 * leave libcurl's frames behind.
 *
 * libcurl by itself sends a request once more when a kept connection turns out
 * to be dead before the answer.  That may be one time too many, and is for
 * others to decide, so the pre-request callback lets a request out once: it
 * also tells for certain whether one that failed was ever sent.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "utils/memutils.h"

#include "poller.h"
#include "settings.h"
#include "transfer.h"

/* Load balancers close what is idle for a minute: do not send into that. */
#define IDLE_SECONDS 50L
#define CA_CACHE_SECONDS 600L
#define KEPT_BODY_BYTES (1024 * 1024) /* a larger buffer is given back after use */
#define MAX_HEADER_BYTES (256 * 1024)
#define MAX_HEADERS 1000 /* to show them takes libcurl the square of that */

struct Transfer
{
	CURL *easy;
	bool configured; /* has the options that never change */
	Transfer *next_free;
	TransferState state;
	char *proxy; /* options that the handle has */
	char *ca_file;
	struct curl_slist *headers; /* of the request */
	bool was_sent;
	bool headers_complete; /* of the answer */
	size_t header_bytes;
	int header_count;
	bool no_descriptor;
	bool too_large;
	size_t limit; /* bytes of body that are taken */
	char *body;   /* malloc'd, since a callback fills it */
	size_t body_length;
	size_t body_capacity;
	char failure[CURL_ERROR_SIZE];
};

static Transfer *free_transfers;

/* libcurl wants a socket. */
static curl_socket_t
open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
	Transfer *transfer = data;
	pgsocket fd = flex_poller_open(address->family, address->socktype, address->protocol);

	transfer->no_descriptor = fd == PGINVALID_SOCKET && (errno == EMFILE || errno == ENFILE);
	return fd == PGINVALID_SOCKET ? CURL_SOCKET_BAD : fd;
}

/* libcurl lets go of a socket that open_socket() gave it. */
static int
close_socket(void *unused, curl_socket_t fd)
{
	return flex_poller_close(fd);
}

/* The connection stands and the request is about to go out. */
static int
before_request(void *data, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	Transfer *transfer = data;

	if (transfer->was_sent)
		return CURL_PREREQFUNC_ABORT;
	transfer->was_sent = true;
	return CURL_PREREQFUNC_OK;
}

/* A header of the answer came; the empty line after the last one tells that all did. */
static size_t
receive_header(char *bytes, size_t size, size_t count, void *data)
{
	Transfer *transfer = data;
	size_t length = size * count;

	transfer->header_bytes += length;
	transfer->header_count++;
	if (transfer->header_bytes > MAX_HEADER_BYTES || transfer->header_count > MAX_HEADERS)
		return 0;
	/* From 8.22 on a lone carriage return may come, where the connection was closed behind it. */
	if ((length == 2 && bytes[0] == '\r' && bytes[1] == '\n') || (length == 1 && bytes[0] == '\n'))
		transfer->headers_complete = flex_transfer_status(transfer) >= 200;
	return length;
}

/* Bytes of the body came: keep them, up to the limit, for what is cut off may still tell a SID. */
static size_t
receive_body(char *bytes, size_t size, size_t count, void *data)
{
	Transfer *transfer = data;
	size_t length = size * count;
	size_t taken = Min(length, transfer->limit - transfer->body_length);
	size_t needed = transfer->body_length + taken;

	if (needed > transfer->body_capacity)
	{
		size_t capacity = Max(needed, Max((size_t) 16 * 1024, transfer->body_capacity * 2));
		char *larger = realloc(transfer->body, capacity);

		if (larger == NULL)
			return 0;
		transfer->body = larger;
		transfer->body_capacity = capacity;
	}
	memcpy(transfer->body + transfer->body_length, bytes, taken);
	transfer->body_length = needed;
	transfer->too_large = taken < length;
	return taken;
}

/* Raise unless an option was taken: a request without it would be another one. */
static void
check_option(CURLcode result)
{
	if (result == CURLE_OUT_OF_MEMORY)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (result != CURLE_OK)
		elog(ERROR, "libcurl refused an option: %s", curl_easy_strerror(result));
}

#define SET(easy, option, value) check_option(curl_easy_setopt((easy), (option), (value)))

/* Options that all requests have. */
static void
set_constant_options(Transfer *transfer)
{
	CURL *easy = transfer->easy;

	SET(easy, CURLOPT_PRIVATE, transfer);
	SET(easy, CURLOPT_ERRORBUFFER, transfer->failure);
	SET(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(easy, CURLOPT_OPENSOCKETDATA, transfer);
	SET(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	SET(easy, CURLOPT_PREREQFUNCTION, before_request);
	SET(easy, CURLOPT_PREREQDATA, transfer);
	SET(easy, CURLOPT_HEADERFUNCTION, receive_header);
	SET(easy, CURLOPT_HEADERDATA, transfer);
	SET(easy, CURLOPT_WRITEFUNCTION, receive_body);
	SET(easy, CURLOPT_WRITEDATA, transfer);
	SET(easy, CURLOPT_NOSIGNAL, 1L);
	/* A cancel must not wait for the resolver's thread. */
	SET(easy, CURLOPT_QUICK_EXIT, 1L);
	SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	SET(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	SET(easy, CURLOPT_ACCEPT_ENCODING, "");
	SET(easy, CURLOPT_USERAGENT, "flex_api/" FLEX_API_VERSION " (PostgreSQL " PG_VERSION ")");
	SET(easy, CURLOPT_PATH_AS_IS, 1L);
	SET(easy, CURLOPT_NOPROXY, "");
	SET(easy, CURLOPT_MAXAGE_CONN, IDLE_SECONDS);
	/* With a directory set, libcurl would parse all certificates for each connection. */
	SET(easy, CURLOPT_CAPATH, NULL);
	SET(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SECONDS);
	transfer->configured = true;
}

/* A transfer from those kept, or a new one. */
static Transfer *
get_transfer(void)
{
	Transfer *transfer = free_transfers;

	if (transfer != NULL)
	{
		free_transfers = transfer->next_free;
		return transfer;
	}
	transfer = MemoryContextAllocZero(TopMemoryContext, sizeof(Transfer));
	transfer->easy = curl_easy_init();
	if (transfer->easy == NULL)
	{
		pfree(transfer);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	return transfer;
}

/* Method and body. */
static void
set_method(Transfer *transfer, const HttpRequest *request)
{
	CURL *easy = transfer->easy;
	bool is_get = strcmp(request->method, "GET") == 0;
	bool has_body = request->content_type != NULL;

	if (has_body)
	{
		SET(easy, CURLOPT_POSTFIELDSIZE, (long) request->body.len);
		SET(easy, CURLOPT_COPYPOSTFIELDS, request->body.data);
	}
	else
		SET(easy, CURLOPT_HTTPGET, 1L);
	SET(easy, CURLOPT_CUSTOMREQUEST, is_get && !has_body ? NULL : request->method);
}

/* The certificate authorities that libcurl was built to trust. */
static const char *
system_ca_file(void)
{
	static const char *file = NULL;

	if (file == NULL)
		file = curl_version_info(CURLVERSION_NOW)->cainfo;
	return file;
}

/*
 * Set an option of a few that hardly ever change, if it has: libcurl copies a
 * string each time.  *current is the handle's value, malloc'd by strdup.
 */
static void
set_if_changed(Transfer *transfer, CURLoption option, char **current, const char *value)
{
	char *copy;

	if (*current != NULL && value != NULL && strcmp(*current, value) == 0)
		return;
	SET(transfer->easy, option, value);
	copy = value != NULL ? strdup(value) : NULL;
	free(*current);
	*current = copy;
}

/* Where the request goes, and whom it trusts there. */
static void
set_route(Transfer *transfer, const HttpRequest *request, const char *origin)
{
	char *url;
	const char *proxy = flex_settings.proxy;
	const char *ca_file = flex_settings.ca_file;

	flex_request_check_size(request);
	url = psprintf("%s%s", origin, request->target.data);
	SET(transfer->easy, CURLOPT_URL, url);
	pfree(url);
	/* An empty proxy keeps libcurl from those of the environment. */
	set_if_changed(transfer, CURLOPT_PROXY, &transfer->proxy, flex_setting_is_set(proxy) ? proxy : "");
	set_if_changed(transfer, CURLOPT_CAINFO, &transfer->ca_file,
				   flex_setting_is_set(ca_file) ? ca_file : system_ca_file());
}

/* Add a header line to the request. */
static void
append_header(Transfer *transfer, const char *line)
{
	struct curl_slist *longer = curl_slist_append(transfer->headers, line);

	if (longer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	transfer->headers = longer;
}

/* Add "name: value", leaving no copy behind: the value may be a secret. */
static void
append_header_value(Transfer *transfer, const char *name, const char *value)
{
	char *line = psprintf("%s: %s", name, value);

	append_header(transfer, line);
	explicit_bzero(line, strlen(line));
	pfree(line);
}

static void
set_headers(Transfer *transfer, const HttpRequest *request, const char *authorization)
{
	ListCell *cell;

	append_header(transfer, "Accept: application/json");
	append_header(transfer, "Expect:");
	if (request->content_type != NULL)
		append_header_value(transfer, "Content-Type", request->content_type);
	if (authorization != NULL)
		append_header_value(transfer, "Authorization", authorization);
	foreach (cell, request->headers)
		append_header(transfer, lfirst(cell));
	SET(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
}

/* Forget the request's headers, secrets and all. */
static void
free_headers(Transfer *transfer)
{
	for (struct curl_slist *header = transfer->headers; header != NULL; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
}

/* Everything that one request has of its own. */
static void
set_request(Transfer *transfer, const HttpRequest *request, const char *origin, const char *authorization,
			long timeout_ms)
{
	if (!transfer->configured)
		set_constant_options(transfer);
	set_method(transfer, request);
	set_route(transfer, request, origin);
	set_headers(transfer, request, authorization);
	SET(transfer->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	SET(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, (long) flex_settings.connect_timeout);
}

/*
 * Make a transfer ready to be started.  Nothing of the arguments has to stay.
 * timeout_ms bounds the whole of it, unless it is 0.  Give it back with
 * flex_transfer_recycle().
 */
Transfer *
flex_transfer_prepare(const HttpRequest *request, const char *origin, const char *authorization, long timeout_ms)
{
	Transfer *volatile transfer = get_transfer();

	transfer->state = TRANSFER_RUNNING;
	transfer->was_sent = false;
	transfer->headers_complete = false;
	transfer->header_bytes = 0;
	transfer->header_count = 0;
	transfer->no_descriptor = false;
	transfer->too_large = false;
	transfer->limit = (size_t) flex_settings.max_response_size * 1024;
	transfer->body_length = 0;
	transfer->failure[0] = '\0';
	PG_TRY();
	{
		set_request(transfer, request, origin, authorization, timeout_ms);
	}
	PG_CATCH();
	{
		flex_transfer_recycle(transfer);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return transfer;
}

/* The easy handle, for curl_multi_add_handle(). */
void *
flex_transfer_handle(Transfer *transfer)
{
	return transfer->easy;
}

/* True when the failure means that the server could not show who it is. */
static bool
is_mistrust(CURLcode result)
{
	return result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE ||
		   result == CURLE_SSL_ISSUER_ERROR || result == CURLE_SSL_CERTPROBLEM;
}

/* What a result of libcurl means for us. */
static TransferState
state_of_result(const Transfer *transfer, CURLcode result)
{
	if (transfer->too_large)
		return TRANSFER_TOO_LARGE;
	if (result == CURLE_OK && transfer->headers_complete)
		return TRANSFER_ANSWERED;
	if (transfer->was_sent)
		return TRANSFER_BROKEN;
	if (transfer->no_descriptor)
		return TRANSFER_NO_DESCRIPTOR;
	return is_mistrust(result) ? TRANSFER_NOT_TRUSTED : TRANSFER_NEVER_SENT;
}

/* libcurl is done with a handle: result is a CURLcode. */
void
flex_transfer_conclude(void *handle, int result)
{
	Transfer *transfer;

	curl_easy_getinfo(handle, CURLINFO_PRIVATE, &transfer);
	transfer->state = state_of_result(transfer, result);
	if (result == CURLE_OK)
		strlcpy(transfer->failure, "the connection was closed within the answer's headers", CURL_ERROR_SIZE);
	else if (result == CURLE_ABORTED_BY_CALLBACK)
		strlcpy(transfer->failure, "the connection was closed before the answer", CURL_ERROR_SIZE);
	else if (transfer->failure[0] == '\0')
		strlcpy(transfer->failure, curl_easy_strerror(result), CURL_ERROR_SIZE);
}

/* Keep a transfer, which no multi handle has any more, for the next request. */
void
flex_transfer_recycle(Transfer *transfer)
{
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, NULL);
	free_headers(transfer);
	if (transfer->body_capacity > KEPT_BODY_BYTES)
	{
		free(transfer->body);
		transfer->body = NULL;
		transfer->body_capacity = 0;
	}
	transfer->next_free = free_transfers;
	free_transfers = transfer;
}

TransferState
flex_transfer_state(const Transfer *transfer)
{
	return transfer->state;
}

/* True when at least the beginning of the request may have left. */
bool
flex_transfer_was_sent(const Transfer *transfer)
{
	return transfer->was_sent;
}

/* Why it failed, in libcurl's or our words. */
const char *
flex_transfer_failure(const Transfer *transfer)
{
	return transfer->failure;
}

/* The HTTP status, 0 as long as it is not known. */
int
flex_transfer_status(const Transfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int) status;
}

/* What has come of the body so far; it stays until the transfer is released. */
const char *
flex_transfer_body(const Transfer *transfer, size_t *length)
{
	*length = transfer->body_length;
	return transfer->body;
}

/* The value of a header of the answer, or NULL; valid until the next call. */
const char *
flex_transfer_header(const Transfer *transfer, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

/* Show the answer's headers to a function, one by one. */
void
flex_transfer_visit_headers(const Transfer *transfer, HeaderVisitor visit, void *state)
{
	struct curl_header *header = NULL;

	while ((header = curl_easy_nextheader(transfer->easy, CURLH_HEADER, -1, header)) != NULL)
		visit(state, header->name, header->value);
}

/* Seconds that the service asks us to wait, 0 when it does not. */
long
flex_transfer_retry_after(const Transfer *transfer)
{
	curl_off_t seconds = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &seconds);
	return (long) Min(seconds, 86400);
}
