/*
 * sender.c
 *	  Sends a request's answer: whole, as a rule; in drops, up to a point or
 *	  without an end where a fault wants that; or, to cut it at any byte of
 *	  its headers, past libmicrohttpd straight into the socket.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sender.h"
#include "wakeups.h"

/* How long a cut answer may wait for a client that does not read. */
#define CUT_TIMEOUT_MS 2000
/* How often a stalled answer looks whether its client is still there. */
#define STALL_CHECK_US 50000

/* A body that is sent bit by bit. */
typedef struct Stream
{
	struct MHD_Connection *connection;
	Text body;
	int64_t huge_bytes;  /* instead of the body */
	int64_t stall_after; /* or -1 */
	int64_t drip_bytes;  /* or 0 */
	int64_t drip_us;
	int64_t next_us; /* when the next drop may go */
} Stream;

/* Adds the headers that every answer has, and those of this one. */
static void
write_headers(Request *request, int concurrent, Text *headers)
{
	const Answer *answer = &request->answer;

	if (answer->content_type != NULL)
		text_printf(headers, "Content-Type: %s\n", answer->content_type);
	text_printf(headers, "Twilio-Request-Id: %s\nTwilio-Concurrent-Requests: %d\nTwilio-Request-Duration: %.3f\n",
				request->request_id, concurrent, (double) (now_us() - request->started_us) / 1e6);
	if (answer->headers.length > 0)
		text_add(headers, answer->headers.data, answer->headers.length);
}

/* Hands lines of "Name: value" to a response. The text is cut to pieces. */
static void
add_headers(struct MHD_Response *response, char *lines)
{
	char *line;

	while ((line = strsep(&lines, "\n")) != NULL)
	{
		char *value = strstr(line, ": ");

		if (value == NULL)
			continue;
		*value = '\0';
		MHD_add_response_header(response, line, value + 2);
	}
}

/* Writes all bytes to a socket that does not block, as far as the client reads. */
static void
write_socket(int socket, const char *data, size_t length)
{
	struct pollfd writable = {.fd = socket, .events = POLLOUT};

	while (length > 0)
	{
		ssize_t sent = send(socket, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0)
		{
			data += sent;
			length -= (size_t) sent;
		}
		else if (poll(&writable, 1, CUT_TIMEOUT_MS) <= 0 || (writable.revents & (POLLERR | POLLHUP)))
			return;
	}
}

/*
 * Writes the first bytes of the answer and ends the connection. Inside TLS
 * the socket carries records of another layer: there it just ends.
 */
static enum MHD_Result
send_cut(Request *request, bool tls, char *headers)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	const Answer *answer = &request->answer;
	Text whole = {0};
	char *line;

	text_printf(&whole, "HTTP/1.1 %d %s\r\n", answer->status, MHD_get_reason_phrase_for((unsigned int) answer->status));
	while ((line = strsep(&headers, "\n")) != NULL)
		if (*line != '\0')
			text_printf(&whole, "%s\r\n", line);
	text_printf(&whole, "Content-Length: %zu\r\n\r\n", answer->body.length);
	text_add(&whole, answer->body.data, answer->body.length);
	if (!tls)
		write_socket(info->connect_fd, whole.data,
					 (size_t) answer->cut_at < whole.length ? (size_t) answer->cut_at : whole.length);
	shutdown(info->connect_fd, SHUT_RDWR);
	text_free(&whole);
	return MHD_NO;
}

/* Whether the client has closed its side; what it sent before does not matter. */
static bool
client_is_gone(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct pollfd event = {.fd = info->connect_fd, .events = POLLRDHUP};

	return poll(&event, 1, 0) > 0;
}

/* Waits, with nothing to send. */
static ssize_t
wait_until(const Stream *stream, int64_t time_us)
{
	return suspend_until(stream->connection, time_us) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
}

/* Writes a part of a JSON object about as long as it is wanted. */
static ssize_t
read_huge(const Stream *stream, uint64_t position, char *place, size_t room)
{
	static const char start[] = "{\"padding\":\"";
	size_t head = sizeof(start) - 1;
	uint64_t total = (uint64_t) stream->huge_bytes > head + 2 ? (uint64_t) stream->huge_bytes : head + 2;
	size_t count = 0;

	if (position >= total)
		return MHD_CONTENT_READER_END_OF_STREAM;
	for (; count < room && position < total; count++, position++)
		place[count] = position < head         ? start[position]
					   : position < total - 2  ? 'a'
					   : position == total - 2 ? '"'
											   : '}';
	return (ssize_t) count;
}

/* libmicrohttpd asks for more of a body: MHD_ContentReaderCallback. */
static ssize_t
read_stream(void *data, uint64_t position, char *place, size_t room)
{
	Stream *stream = data;
	uint64_t end = stream->body.length;
	int64_t now = now_us();

	if (stream->stall_after >= 0 && (stream->huge_bytes > 0 || (uint64_t) stream->stall_after < end))
	{
		end = (uint64_t) stream->stall_after;
		if (position >= end)
			return client_is_gone(stream->connection) ? MHD_CONTENT_READER_END_WITH_ERROR
													  : wait_until(stream, now + STALL_CHECK_US);
		if (room > end - position)
			room = end - position;
	}
	if (stream->drip_bytes > 0)
	{
		if (now < stream->next_us)
			return wait_until(stream, stream->next_us);
		stream->next_us = now + stream->drip_us;
		if (room > (size_t) stream->drip_bytes)
			room = (size_t) stream->drip_bytes;
	}
	if (stream->huge_bytes > 0)
		return read_huge(stream, position, place, room);
	if (room > end - position)
		room = end - position;
	memcpy(place, stream->body.data + position, room);
	return room > 0 ? (ssize_t) room : MHD_CONTENT_READER_END_OF_STREAM;
}

/* libmicrohttpd is done with a body. */
static void
free_stream(void *data)
{
	Stream *stream = data;

	text_free(&stream->body);
	free(stream);
}

/* A response that is read bit by bit; it takes the answer's body over. */
static struct MHD_Response *
make_stream(Request *request)
{
	Answer *answer = &request->answer;
	Stream *stream = calloc(1, sizeof(Stream));

	*stream = (Stream){.connection = request->connection,
					   .body = answer->body,
					   .huge_bytes = answer->huge_bytes,
					   .stall_after = answer->stall_after,
					   .drip_bytes = answer->drip_bytes,
					   .drip_us = answer->drip_us};
	answer->body = (Text){0};
	return MHD_create_response_from_callback(stream->huge_bytes > 0 ? MHD_SIZE_UNKNOWN : stream->body.length, 32 * 1024,
											 read_stream, stream, free_stream);
}

/* Sends the request's answer; the result is for libmicrohttpd's handler. */
enum MHD_Result
send_answer(Request *request, bool tls, int concurrent)
{
	Answer *answer = &request->answer;
	struct MHD_Response *response;
	Text headers = {0};
	enum MHD_Result result;

	write_headers(request, concurrent, &headers);
	if (answer->cut_at >= 0)
	{
		result = send_cut(request, tls, headers.data);
		text_free(&headers);
		return result;
	}
	if (answer->huge_bytes > 0 || answer->drip_bytes > 0 || answer->stall_after >= 0)
		response = make_stream(request);
	else
	{
		size_t length = answer->body.length;

		response = MHD_create_response_from_buffer(length, text_take(&answer->body), MHD_RESPMEM_MUST_FREE);
	}
	add_headers(response, headers.data);
	result = MHD_queue_response(request->connection, (unsigned int) answer->status, response);
	MHD_destroy_response(response);
	text_free(&headers);
	return result;
}
