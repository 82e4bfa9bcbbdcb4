/*
 * transfer.c
 *		One request and its answer, as an easy handle of libcurl.
 *
 * Each request has an easy handle of its own: one that has been used keeps, in
 * libcurl 7.88, a pointer into the last answer's headers.  No error is raised in
 * a callback: it would leave libcurl's frames behind.
 *
 * The pre-request callback lets a request out once, which libcurl would send
 * again when a kept connection turns out to be dead: that is for others to
 * decide.  It lets none out on a connection on which something lies already;
 * see may_go_out().
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

#define SMALL_REQUEST_BYTES (16 * 1024) /* a host acknowledges them before its server reads */
#define MOST_RETRY_AFTER 3600           /* seconds: one wrong answer is not to stop an operation for a day */

struct Transfer
{
	CURL *easy;
	TransferState state;
	struct curl_slist *headers; /* of the request */
	CURLU *address;             /* its parts */
	bool is_idempotent;
	size_t request_bytes; /* of its body */
	bool has_proxy;
	bool reads_ahead;      /* its connection may */
	bool trusts_directory; /* the system's, of authorities */
	bool was_sent;
	bool is_connected; /* a socket was opened for it: its connection is no kept one */
	bool is_stale;     /* it was not sent, since the kept connection is no good */
	pgsocket socket;   /* it was sent on, or PGINVALID_SOCKET */
	Framing framing;   /* of the answer */
	bool no_descriptor;
	bool too_large;
	bool lost_bytes; /* when it was to go on */
	TransferHold hold;
	bool is_paused; /* as libcurl has been told */
	Body body;
	int64 started_at;        /* flex_clock_us() */
	int64 ended_at;          /* 0: it is running */
	uint64 ending;           /* of all that have ended in this process, its number */
	const char *ended_by_us; /* why, if we have ended it; NULL: we have not */
	char failure[CURL_ERROR_SIZE];
};
static int unsent; /* transfers that are running and have not been sent */

/* libcurl wants a socket. */
static curl_socket_t
open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
	Transfer *transfer = data;
	pgsocket fd = flex_connection_open(address->family, address->socktype, address->protocol);

	transfer->is_connected = true;
	transfer->no_descriptor = fd == PGINVALID_SOCKET && (errno == EMFILE || errno == ENFILE);
	return fd == PGINVALID_SOCKET ? CURL_SOCKET_BAD : fd;
}

/* libcurl lets go of a socket that open_socket() gave it. */
static int
close_socket(void *unused, curl_socket_t fd)
{
	return flex_connection_close(fd);
}

/*
 * True when the connection is a new one, or a kept one on which nothing lies.
 *
 * Not seen is what comes between this look and the request.  Against that,
 * came_too_early() looks at what the other host had acknowledged when the answer
 * began.  What then remains is a server that sends another's answer only once it
 * has the request: nothing on the wire tells that from a true answer.
 */
static bool
may_go_out(const Transfer *transfer, const void *ssl)
{
	/* On a new one the server's TLS tickets may lie. */
	if (transfer->is_connected)
		return true;
	return transfer->socket != PGINVALID_SOCKET &&
		   flex_connection_is_fit(transfer->socket, transfer->is_idempotent, ssl != NULL && flex_tls_has_read(ssl));
}

/* The connection stands and the request is about to go out. */
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
 * True when an answer has begun before the request had arrived: it is another's.
 * What brings a true answer also acknowledges the bytes that it answers.  A large
 * request may be refused before all of it has arrived.
 */
static bool
came_too_early(const Transfer *transfer)
{
	if (transfer->socket == PGINVALID_SOCKET || transfer->framing.version >= FRAMING_HTTP2 ||
		(transfer->request_bytes > SMALL_REQUEST_BYTES && transfer->framing.status / 100 != 2))
		return false;
	return flex_connection_unacknowledged(transfer->socket) > 0;
}

/* A header line of the answer came, or one of its trailers; the empty line ends the headers.  False to end it. */
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
	/* Of bytes behind an answer without a body, or behind the last chunk, libcurl tells by its messages alone. */
	if (before == FRAMING_HEADERS && framing->part != FRAMING_HEADERS && framing->version < FRAMING_HTTP2 &&
		(framing->is_chunked || flex_framing_has_no_body(framing)))
		curl_easy_setopt(transfer->easy, CURLOPT_VERBOSE, 1L);
	return true;
}

/* Header lines came: one, or all the trailers that libcurl has kept while the answer had to wait. */
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

/* Bytes of the body came. */
static size_t
receive_body(char *bytes, size_t size, size_t count, void *data)
{
	Transfer *transfer = data;
	size_t length = size * count;

	/* It could not be paused before.  libcurl would go on to read a hundred times as much, at once. */
	if (transfer->hold != NOT_HELD)
	{
		transfer->is_paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (!flex_body_append(&transfer->body, bytes, length, &transfer->too_large))
		transfer->ended_by_us = "out of memory";
	return transfer->ended_by_us != NULL || transfer->too_large ? 0 : length;
}

/* A new transfer. */
static Transfer *
make_transfer(const HttpRequest *request)
{
	/* First, since it may raise an error. */
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

/* What libcurl calls, and with what. */
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
 * Make a transfer ready to be started.  Nothing of the arguments has to stay.
 * timeout_ms bounds the whole of it; 0: the caller watches the time, and the
 * answer may be held back.  Give it back with flex_transfer_free().
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
			flex_curl_set_options(transfer->easy, request, endpoint, timeout_ms, &transfer->address);
		flex_curl_set_headers(transfer->easy, request, endpoint, &transfer->headers);
	}
	PG_CATCH();
	{
		flex_transfer_free(transfer);
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

/* What a result of libcurl means for us. */
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

/* Why it failed, in words: in ours where it is we who have ended it, or who know better than libcurl. */
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
 * Get a request, of which nothing has been sent, ready for a connection of its own, where that can
 * be another than it had: not a stale one, or by other authorities.  False also when memory is out.
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
 * libcurl is done with a handle: result is a CURLcode.  False when it is to be given to it again.
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

/* Free a transfer, which no multi handle has any more, and leave nothing of its secrets in memory. */
void
flex_transfer_free(Transfer *transfer)
{
	if (transfer->socket != PGINVALID_SOCKET)
		flex_connection_leave(transfer->socket, false);
	unsent -= transfer->state == TRANSFER_RUNNING && !transfer->was_sent;
	curl_easy_cleanup(transfer->easy);
	for (struct curl_slist *header = transfer->headers; header != NULL; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(transfer->headers);
	curl_url_cleanup(transfer->address);
	flex_body_free(&transfer->body);
	free(transfer);
}

TransferState
flex_transfer_state(const Transfer *transfer)
{
	return transfer->state;
}

/* A number that grows from one transfer that ends to the next; 0 while it is running. */
uint64
flex_transfer_ending(const Transfer *transfer)
{
	return transfer->ending;
}

/* True when at least the beginning of the request may have left. */
bool
flex_transfer_was_sent(const Transfer *transfer)
{
	return transfer->was_sent;
}

/* True when there is a transfer that is running and has not been sent: it may still look up a name. */
bool
flex_transfer_any_unsent(void)
{
	return unsent > 0;
}

/* The bytes of the body that have come so far. */
size_t
flex_transfer_length(const Transfer *transfer)
{
	return transfer->body.length;
}

/* All that can be told of a transfer, whether it is over or given up. */
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

/* The service's identifier of the request, as it stood on the wire, or NULL; until the next look at a header. */
const char *
flex_transfer_request_id(const Transfer *transfer)
{
	struct curl_header *header;

	if (curl_easy_header(transfer->easy, "Twilio-Request-Id", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

/*
 * Read no more of an answer's body, for now: its server has to wait.  Its headers
 * are read in any case, and receive_body() pauses it then.  Sending is paused with
 * it, which is over: were it not, libcurl would read once more.
 */
void
flex_transfer_hold(Transfer *transfer, TransferHold hold)
{
	Assert(hold != NOT_HELD && transfer->state == TRANSFER_RUNNING);
	transfer->hold = hold;
	if (!transfer->is_paused && transfer->body.length > 0)
		transfer->is_paused = curl_easy_pause(transfer->easy, CURLPAUSE_ALL) == CURLE_OK;
}

/* Read on.  What libcurl had read already is received at once. */
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

/* Show the answer's headers to a function, one by one. */
void
flex_transfer_visit_headers(const Transfer *transfer, HeaderVisitor visit, void *state)
{
	struct curl_header *header = NULL;

	while ((header = curl_easy_nextheader(transfer->easy, CURLH_HEADER, -1, header)) != NULL)
		visit(state, header->name, header->value);
}
