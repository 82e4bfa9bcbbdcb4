/*
 * transfer.c
 *		One request and its answer, as an easy handle of libcurl.
 *
 * Each request gets a new easy handle: before libcurl 8.1.0 a used one keeps a pointer into
 * the headers of the previous answer.  Callbacks must not raise errors, because a longjmp
 * over libcurl's stack frames would leave its state inconsistent.
 *
 * libcurl would send a request again if it finds that a kept connection is dead.  Our
 * pre-request callback prevents that (verdict.c decides what may be repeated), as well as
 * sending on a connection that has unread input, which would be taken for the answer.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "base/clock.h"
#include "base/effective.h"
#include "http/body.h"
#include "http/connection.h"
#include "http/curl_options.h"
#include "http/framing.h"
#include "http/tls.h"
#include "http/transfer.h"

#define SMALL_REQUEST_BYTES (16 * 1024) /* the other host's kernel acknowledges these before its server reads them */
#define MOST_RETRY_AFTER 3600           /* seconds; so that one mistaken answer does not stop an operation for a day */

struct Transfer
{
	CURL *easy;
	TransferState state;
	HandleInputs inputs; /* what easy refers to */
	bool is_idempotent;
	size_t request_bytes; /* size of the request's body */
	bool has_proxy;
	bool reads_ahead;      /* OpenSSL may read ahead on its connection */
	bool trusts_directory; /* certificates are verified by the system's directory of authorities */
	bool was_sent;         /* at least part of the request may have been sent */
	bool is_connected;     /* a socket was opened for it, so its connection is a new one */
	bool is_stale;         /* not sent, because the kept connection must not be used */
	pgsocket socket;       /* the one it was sent on, or PGINVALID_SOCKET */
	Framing framing;       /* of the answer */
	bool no_descriptor;    /* no socket could be opened for lack of file descriptors */
	bool too_large;        /* the body exceeds its limit */
	bool lost_bytes;       /* libcurl failed to deliver bytes that it had kept during a pause */
	TransferHold hold;
	bool is_paused; /* libcurl has been told to pause it */
	Body body;
	int64 started_at;        /* flex_clock_us() */
	int64 ended_at;          /* 0 while it is running */
	uint64 ending;           /* serial number among the transfers of this process, in order of ending */
	const char *ended_by_us; /* the reason, if a callback of ours aborted it; else NULL */
	char failure[CURL_ERROR_SIZE];
};
static int unsent; /* number of transfers that are running and have not been sent */

/* CURLOPT_OPENSOCKETFUNCTION callback: open a socket for a new connection. */
static curl_socket_t
open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
	Transfer *transfer = data;
	pgsocket fd = flex_connection_open(address->family, address->socktype, address->protocol);

	transfer->is_connected = true;
	transfer->no_descriptor = fd == PGINVALID_SOCKET && (errno == EMFILE || errno == ENFILE);
	return fd == PGINVALID_SOCKET ? CURL_SOCKET_BAD : fd;
}

/* CURLOPT_CLOSESOCKETFUNCTION callback: close a socket that open_socket() opened. */
static int
close_socket(void *unused, curl_socket_t fd)
{
	return flex_connection_close(fd);
}

/*
 * Return true if the request may be sent: its connection is a new one, or a kept one
 * without unread input.
 *
 * Input that arrives between this check and the request is noticed by came_too_early(),
 * which checks whether the other host had acknowledged the request when the answer began.
 * A server that sends another request's answer only after it has received this one cannot
 * be detected: nothing on the wire distinguishes that from a genuine answer.
 */
static bool
may_go_out(const Transfer *transfer, const void *ssl)
{
	/* On a new connection unread input is normal: the server's TLS session tickets. */
	if (transfer->is_connected)
		return true;
	return transfer->socket != PGINVALID_SOCKET &&
		   flex_connection_is_fit(transfer->socket, transfer->is_idempotent, ssl != NULL && flex_tls_has_read(ssl));
}

/* CURLOPT_PREREQFUNCTION callback: the connection is established, and the request is about to be sent. */
static int
before_request(void *data, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	Transfer *transfer = data;
	void *ssl;

	if (transfer->was_sent)
	{
		transfer->ended_by_us = "the connection was closed before the answer";
		return CURL_PREREQFUNC_ABORT;
	}
	transfer->socket = flex_connection_find(local_port);
	ssl = flex_curl_ssl(transfer->easy);
	if (!may_go_out(transfer, ssl))
	{
		transfer->is_stale = true;
		transfer->socket = PGINVALID_SOCKET;
		curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
		return CURL_PREREQFUNC_ABORT;
	}
	if (transfer->socket != PGINVALID_SOCKET)
		flex_connection_join(transfer->socket);
	if (ssl != NULL)
		flex_connection_read_ahead(transfer->socket, ssl, transfer->reads_ahead);
	transfer->was_sent = true;
	unsent--;
	return CURL_PREREQFUNC_OK;
}

/*
 * Return true if an answer began before the request had arrived, so that it is the answer
 * to another one: the segments of a genuine answer also acknowledge the request.  A large
 * request is an exception, since the server may refuse it before all of it has arrived.
 */
static bool
came_too_early(const Transfer *transfer)
{
	if (transfer->socket == PGINVALID_SOCKET || transfer->framing.version >= FRAMING_HTTP2 ||
		(transfer->request_bytes > SMALL_REQUEST_BYTES && transfer->framing.status / 100 != 2))
		return false;
	return flex_connection_unacknowledged(transfer->socket) > 0;
}

/* Process a header or trailer line, or the empty line that ends the headers.  Return false to abort the transfer. */
static bool
receive_line(Transfer *transfer, const char *line, size_t length)
{
	Framing *framing = &transfer->framing;
	FramingPart before = framing->part;

	flex_framing_read_line(framing, line, length);
	if (before == FRAMING_STATUS_LINE && came_too_early(transfer))
		framing->fault = "it began before the request had arrived";
	if (framing->fault != NULL || framing->excess != NULL)
		return false;
	if (framing->version >= FRAMING_HTTP2 && transfer->socket != PGINVALID_SOCKET)
		flex_connection_mark_multiplexed(transfer->socket);
	if (framing->must_close)
		curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
	/* It would drop bytes after an answer without a body, or after the last chunk. */
	if (before == FRAMING_HEADERS && framing->part != FRAMING_HEADERS && framing->version < FRAMING_HTTP2 &&
		(framing->is_chunked || flex_framing_has_no_body(framing)))
		flex_curl_watch_surplus(transfer->easy);
	return true;
}

/* CURLOPT_HEADERFUNCTION callback: one line, or all trailers at once if libcurl kept them during a pause. */
static size_t
receive_header(char *bytes, size_t size, size_t count, void *data)
{
	size_t length = size * count;
	size_t end;

	for (size_t start = 0; start < length; start = end)
	{
		const char *feed = memchr(bytes + start, '\n', length - start);

		end = feed != NULL ? (size_t) (feed - bytes) + 1 : length;
		if (!receive_line(data, bytes + start, end - start))
			return 0;
	}
	return length;
}

/* CURLOPT_WRITEFUNCTION callback: store bytes of the body. */
static size_t
receive_body(char *bytes, size_t size, size_t count, void *data)
{
	Transfer *transfer = data;
	size_t length = size * count;

	/* It could not be paused before.  Otherwise libcurl would read a hundred times this much before it returns. */
	if (transfer->hold != NOT_HELD)
	{
		transfer->is_paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (!flex_body_append(&transfer->body, bytes, length, &transfer->too_large))
		transfer->ended_by_us = "out of memory";
	return transfer->ended_by_us != NULL || transfer->too_large ? 0 : length;
}

/* Allocate a transfer and its easy handle, with malloc.  Raise an error if out of memory. */
static Transfer *
make_transfer(const HttpRequest *request)
{
	/* Before anything is allocated, since it may raise an error. */
	size_t limit = (size_t) flex_effective_integer(&flex_settings.max_response_size) * 1024;
	CURL *easy = curl_easy_init();
	Transfer *transfer = calloc(1, sizeof(Transfer));

	if (easy == NULL || transfer == NULL)
	{
		curl_easy_cleanup(easy);
		free(transfer);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	transfer->easy = easy;
	transfer->state = TRANSFER_RUNNING;
	transfer->socket = PGINVALID_SOCKET;
	transfer->is_idempotent = request->idempotent;
	transfer->request_bytes = request->content_type != NULL ? request->body.len : 0;
	transfer->body.limit = limit;
	transfer->started_at = flex_clock_us();
	unsent++;
	return transfer;
}

/* Install our callbacks in the easy handle. */
static void
set_callbacks(Transfer *transfer)
{
	CURL *easy = transfer->easy;

	FLEX_CURL_SET(easy, CURLOPT_PRIVATE, transfer);
	FLEX_CURL_SET(easy, CURLOPT_ERRORBUFFER, transfer->failure);
	FLEX_CURL_SET(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	FLEX_CURL_SET(easy, CURLOPT_OPENSOCKETDATA, transfer);
	FLEX_CURL_SET(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	FLEX_CURL_SET(easy, CURLOPT_PREREQFUNCTION, before_request);
	FLEX_CURL_SET(easy, CURLOPT_PREREQDATA, transfer);
	FLEX_CURL_SET(easy, CURLOPT_HEADERFUNCTION, receive_header);
	FLEX_CURL_SET(easy, CURLOPT_HEADERDATA, transfer);
	FLEX_CURL_SET(easy, CURLOPT_WRITEFUNCTION, receive_body);
	FLEX_CURL_SET(easy, CURLOPT_WRITEDATA, transfer);
}

/*
 * Prepare a transfer, to be started by adding flex_transfer_handle() to a multi handle.
 * The arguments are copied.  timeout_ms limits the duration of the transfer; with 0 the
 * caller limits it, and may suspend it with flex_transfer_hold().  The transfer is not
 * in a memory context: the caller must free it with flex_transfer_free().
 */
Transfer *
flex_transfer_prepare(const HttpRequest *request, const Endpoint *endpoint, long timeout_ms)
{
	Transfer *volatile transfer = make_transfer(request);

	PG_TRY();
	{
		transfer->has_proxy = endpoint->proxy[0] != '\0';
		transfer->reads_ahead = flex_curl_reads_ahead(endpoint, timeout_ms);
		set_callbacks(transfer);
		transfer->trusts_directory =
			flex_curl_set_options(transfer->easy, request, endpoint, timeout_ms, &transfer->inputs);
	}
	PG_CATCH();
	{
		flex_transfer_free(transfer);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return transfer;
}

/* Return the easy handle, for curl_multi_add_handle(). */
void *
flex_transfer_handle(Transfer *transfer)
{
	return transfer->easy;
}

/* Return the final state of a transfer that libcurl ended with this result. */
static TransferState
state_of_result(const Transfer *transfer, CURLcode result)
{
	static const TransferState unsent_states[] = {
		[UNSENT_OTHERWISE] = TRANSFER_NEVER_SENT,        [UNSENT_NOT_TRUSTED] = TRANSFER_NOT_TRUSTED,
		[UNSENT_NOT_RESOLVED] = TRANSFER_NOT_RESOLVED,   [UNSENT_NO_PROXY] = TRANSFER_NO_PROXY,
		[UNSENT_NO_DESCRIPTOR] = TRANSFER_NO_DESCRIPTOR,
	};

	if (transfer->too_large)
		return TRANSFER_TOO_LARGE;
	if (result == CURLE_OK && transfer->framing.part == FRAMING_BODY && !transfer->lost_bytes &&
		(transfer->body.length > 0 || !flex_curl_has_undecoded(transfer->easy)))
		return TRANSFER_ANSWERED;
	if (transfer->was_sent)
		return TRANSFER_BROKEN;
	if (transfer->no_descriptor)
		return TRANSFER_NO_DESCRIPTOR;
	return unsent_states[flex_curl_unsent_cause(transfer->easy, result, transfer->has_proxy, transfer->failure)];
}

/* Set the failure message: libcurl's, unless we have aborted the transfer ourselves or know the reason better. */
static void
explain_failure(Transfer *transfer, CURLcode result)
{
	const Framing *framing = &transfer->framing;
	const char *reason = framing->excess != NULL ? framing->excess : transfer->ended_by_us;

	if (transfer->state == TRANSFER_NO_DESCRIPTOR)
		reason = "no file descriptor is left for a connection";
	else if (reason == NULL && result == CURLE_OK)
		reason = transfer->lost_bytes                     ? "out of memory"
				 : transfer->framing.part == FRAMING_BODY ? "the body breaks off within its encoding"
														  : "the connection was closed within the answer's headers";
	if (framing->fault != NULL)
		snprintf(transfer->failure, CURL_ERROR_SIZE, "the answer cannot be told from another: %s", framing->fault);
	else if (reason != NULL)
		strlcpy(transfer->failure, reason, CURL_ERROR_SIZE);
	else if (transfer->failure[0] == '\0')
		strlcpy(transfer->failure, curl_easy_strerror(result), CURL_ERROR_SIZE);
}

/*
 * If a request failed before anything was sent, and a new connection can help (the kept one
 * was stale, or the certificate may be verified by other authorities), prepare the handle
 * for that.  Return false if it cannot help, or when out of memory.
 */
static bool
begin_again(Transfer *transfer, CURLcode result)
{
	if (!transfer->is_stale && (transfer->was_sent || !flex_curl_trust_file(transfer->easy, result, transfer->has_proxy,
																			&transfer->trusts_directory)))
		return false;
	transfer->is_stale = false;
	transfer->failure[0] = '\0';
	if (curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
		curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 0L) == CURLE_OK)
		return true;
	transfer->ended_by_us = "out of memory";
	return false;
}

/*
 * Process the end of a transfer, given libcurl's easy handle and result (a CURLcode).
 * Return false if the transfer has not ended: the caller must then add the handle to the
 * multi handle again.
 */
bool
flex_transfer_conclude(void *handle, int result)
{
	static uint64 endings = 0;
	Transfer *transfer;

	curl_easy_getinfo(handle, CURLINFO_PRIVATE, &transfer);
	Assert(transfer->easy == handle && transfer->state == TRANSFER_RUNNING);
	if (begin_again(transfer, result))
		return false;
	transfer->state = state_of_result(transfer, result);
	unsent -= !transfer->was_sent;
	if (transfer->socket != PGINVALID_SOCKET)
		flex_connection_leave(transfer->socket, transfer->state == TRANSFER_BROKEN);
	transfer->socket = PGINVALID_SOCKET;
	transfer->ended_at = flex_clock_us();
	transfer->ending = ++endings;
	if (transfer->state != TRANSFER_ANSWERED)
		explain_failure(transfer, result);
	return true;
}

/* Free a transfer that is in no multi handle. */
void
flex_transfer_free(Transfer *transfer)
{
	if (transfer->socket != PGINVALID_SOCKET)
		flex_connection_leave(transfer->socket, false);
	unsent -= transfer->state == TRANSFER_RUNNING && !transfer->was_sent;
	curl_easy_cleanup(transfer->easy);
	flex_curl_free_inputs(&transfer->inputs);
	flex_body_free(&transfer->body);
	free(transfer);
}

TransferState
flex_transfer_state(const Transfer *transfer)
{
	return transfer->state;
}

/* Return a serial number that tells in which order transfers have ended; 0 while it is running. */
uint64
flex_transfer_ending(const Transfer *transfer)
{
	return transfer->ending;
}

/* Return true if at least part of the request may have been sent. */
bool
flex_transfer_was_sent(const Transfer *transfer)
{
	return transfer->was_sent;
}

/* Return true if any transfer is running and has not been sent, so that libcurl may be resolving a host name. */
bool
flex_transfer_any_unsent(void)
{
	return unsent > 0;
}

/* Return how many bytes of the answer's body have been received so far. */
size_t
flex_transfer_length(const Transfer *transfer)
{
	return transfer->body.length;
}

/* Return all that is known about a transfer, ended or still running. */
TransferResult
flex_transfer_result(const Transfer *transfer)
{
	CURL *easy = transfer->easy;
	TransferResult result = {
		.state = transfer->state,
		.was_sent = transfer->was_sent,
		.body = transfer->body.bytes,
		.body_length = transfer->body.length,
		.body_limit = transfer->body.limit,
		.failure = transfer->failure,
		.elapsed_us = (transfer->ended_at != 0 ? transfer->ended_at : flex_clock_us()) - transfer->started_at,
	};
	long status = 0;
	curl_off_t retry_after = 0;
	curl_off_t sent = 0;
	curl_off_t received = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
	curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
	result.status = (int) status;
	result.retry_after_ms = Min(retry_after, MOST_RETRY_AFTER) * 1000;
	result.bytes_sent = sent;
	result.bytes_received = received;
	return result;
}

/* Return the service's identifier of the request, not converted and valid until the next look at a header, or NULL. */
const char *
flex_transfer_request_id(const Transfer *transfer)
{
	struct curl_header *header;

	if (curl_easy_header(transfer->easy, "Twilio-Request-Id", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

/*
 * Suspend reading the answer's body.  Headers are still read; if the body has not begun,
 * receive_body() pauses the transfer when it does.  CURLPAUSE_ALL also pauses sending:
 * the request has been sent by then, but without it libcurl would read once more.
 */
void
flex_transfer_hold(Transfer *transfer, TransferHold hold)
{
	Assert(hold != NOT_HELD && transfer->state == TRANSFER_RUNNING);
	transfer->hold = hold;
	if (!transfer->is_paused && transfer->body.length > 0)
		transfer->is_paused = curl_easy_pause(transfer->easy, CURLPAUSE_ALL) == CURLE_OK;
}

/* Resume reading.  libcurl calls receive_body() at once with what it had read already. */
void
flex_transfer_go_on(Transfer *transfer)
{
	transfer->hold = NOT_HELD;
	if (transfer->is_paused)
		transfer->lost_bytes |= curl_easy_pause(transfer->easy, CURLPAUSE_CONT) != CURLE_OK;
	transfer->is_paused = false;
}

TransferHold
flex_transfer_held(const Transfer *transfer)
{
	return transfer->hold;
}

/* Call a function for each header of the answer, in order. */
void
flex_transfer_visit_headers(const Transfer *transfer, HeaderVisitor visit, void *state)
{
	struct curl_header *header = NULL;

	while ((header = curl_easy_nextheader(transfer->easy, CURLH_HEADER, -1, header)) != NULL)
		visit(state, header->name, header->value);
}
