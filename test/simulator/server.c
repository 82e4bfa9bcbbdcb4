/*
 * server.c
 *	  The HTTP server: libmicrohttpd's callbacks, and what becomes of a
 *	  request between its last byte and the first of its answer.
 *
 * One epoll thread serves everything unless --threads says otherwise; a lock
 * around the state makes either right. A request is carried out, recorded and
 * journalled at once, and only its answer waits if a fault delays it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "browsers.h"
#include "control.h"
#include "faults.h"
#include "options.h"
#include "pages.h"
#include "record.h"
#include "server.h"
#include "sender.h"
#include "service.h"
#include "state_lock.h"
#include "wakeups.h"

static struct MHD_Daemon *server;
static atomic_int port;
pthread_mutex_t state_lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t last_number;
static atomic_int active;

/* libmicrohttpd knows the request line: this begins a request. */
static void *
begin_request(void *unused, const char *uri, struct MHD_Connection *connection)
{
	(void) unused;
	active++;
	return request_new(connection, uri);
}

/* libmicrohttpd is done with a request. */
static void
end_request(void *unused, struct MHD_Connection *connection, void **data, enum MHD_RequestTerminationCode code)
{
	(void) unused;
	(void) connection;
	(void) code;
	if (*data == NULL)
		return;
	active--;
	request_free(*data);
	*data = NULL;
}

/* A connection counts unless it is for control; its context says if it does. */
static void
note_connection(void *unused, struct MHD_Connection *connection, void **context,
				enum MHD_ConnectionNotificationCode code)
{
	(void) unused;
	(void) connection;
	if (code != MHD_CONNECTION_NOTIFY_STARTED)
	{
		free(*context);
		return;
	}
	*context = must_allocate(sizeof(bool));
	*(bool *) *context = true;
	record_connection(1);
}

/* Makes the request's connection count, or not. */
static void
count_connection(const Request *request, bool counts)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	bool *counted = info ? info->socket_context : NULL;

	if (counted == NULL || *counted == counts)
		return;
	*counted = counts;
	record_connection(counts ? 1 : -1);
}

/* Carries a request of the API out, as far as a fault lets it. */
static void
answer_api(Request *request)
{
	json_object *fault;
	int carried_status = 0;

	request->number = ++last_number;
	request_identify(request);
	fault = faults_take(request);
	count_connection(request, true);
	if (fault == NULL || fault_lets_through(fault))
	{
		serve(request);
		carried_status = request->answer.status;
	}
	if (fault != NULL)
		fault_apply(fault, request);
	record_request(request, carried_status);
	json_object_put(fault);
}

/* Makes the request's answer, whatever it is for. */
static void
answer_request(Request *request)
{
	request_find_base(request, options.tls_cert != NULL, port);
	pthread_mutex_lock(&state_lock);
	if (is_control(request))
	{
		count_connection(request, false);
		serve_control(request);
	}
	else if (is_page(request))
	{
		count_connection(request, false);
		serve_page(request);
	}
	else if (is_preflight(request))
		answer_preflight(request);
	else
	{
		answer_api(request);
		allow_origin(request);
	}
	pthread_mutex_unlock(&state_lock);
	request->answered = true;
}

/* libmicrohttpd has headers, more of the body, or all of it: MHD_AccessHandlerCallback. */
static enum MHD_Result
handle(void *unused, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
	   const char *upload, size_t *upload_size, void **data)
{
	Request *request = *data;

	(void) unused;
	(void) connection;
	(void) url;
	(void) version;
	if (!request->begun)
	{
		request->begun = true;
		snprintf(request->method, sizeof(request->method), "%s", method);
		return MHD_YES;
	}
	if (*upload_size > 0)
	{
		text_add(&request->body, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	if (!request->answered)
	{
		answer_request(request);
		if (request->answer.delay_us > 0 && suspend_until(request->connection, now_us() + request->answer.delay_us))
			return MHD_YES;
	}
	return send_answer(request, options.tls_cert != NULL, active);
}

/* Leaves everything encoded: requests are decoded, and recorded, elsewhere. */
static size_t
keep_encoded(void *unused, struct MHD_Connection *connection, char *text)
{
	(void) unused;
	(void) connection;
	return strlen(text);
}

/* A file's content, for libmicrohttpd; NULL if there is no such file. */
static char *
read_pem(const char *name)
{
	FILE *file = name ? fopen(name, "r") : NULL;
	Text text = {0};
	int byte;

	if (file == NULL)
		return NULL;
	while ((byte = getc(file)) != EOF)
		text_add(&text, &(char){(char) byte}, 1);
	fclose(file);
	return text_take(&text);
}

/* A socket that listens on the port, which is noted; -1 with errno if that is not possible. */
static int
listen_on_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
								  .sin_port = htons((uint16_t) options.port),
								  .sin_addr.s_addr = inet_addr(options.address)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(address);
	int reason;

	/* Connections of a simulator that has just ended linger on; they are in nobody's way. */
	if (listener >= 0 && setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0 &&
		bind(listener, (struct sockaddr *) &address, size) == 0 && listen(listener, 1024) == 0 &&
		getsockname(listener, (struct sockaddr *) &address, &size) == 0)
	{
		port = ntohs(address.sin_port);
		return listener;
	}
	reason = errno;
	if (listener >= 0)
		close(listener);
	errno = reason;
	return -1;
}

/* Starts libmicrohttpd on a socket that listens; false if it does not. */
static bool
start_daemon(int listener)
{
	bool tls = options.tls_cert != NULL;
	char *certificate = read_pem(options.tls_cert);
	char *key = read_pem(options.tls_key);
	struct MHD_OptionItem tls_options[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, certificate},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, key},
		{MHD_OPTION_END, 0, NULL},
	};

	server = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | (tls ? MHD_USE_TLS : 0), 0,
							  NULL, NULL, handle, NULL, MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_ARRAY,
							  tls ? tls_options : &tls_options[2], MHD_OPTION_URI_LOG_CALLBACK, begin_request, NULL,
							  MHD_OPTION_UNESCAPE_CALLBACK, keep_encoded, NULL, MHD_OPTION_NOTIFY_COMPLETED,
							  end_request, NULL, MHD_OPTION_NOTIFY_CONNECTION, note_connection, NULL,
							  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) 64 * 1024, MHD_OPTION_CONNECTION_LIMIT,
							  4096u, options.threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END,
							  (unsigned int) options.threads, MHD_OPTION_END);
	free(certificate);
	free(key);
	return server != NULL;
}

/*
 * Starts serving, and prints where; false if that is not possible.  The port is taken
 * here: libmicrohttpd cleans up before it returns, and errno is not what was wrong then.
 */
bool
server_start(void)
{
	int listener = listen_on_port();

	if (listener < 0)
	{
		fprintf(stderr, "flex_simulator: could not serve on port %lld: %s\n", (long long) options.port,
				strerror(errno));
		return false;
	}
	if (!start_daemon(listener))
	{
		fprintf(
			stderr,
			"flex_simulator: could not serve on port %lld: the certificate or its key is not good, or memory is out\n",
			(long long) options.port);
		close(listener);
		return false;
	}
	printf("listening on %s://%s:%d\n", options.tls_cert != NULL ? "https" : "http", options.address, port);
	fflush(stdout);
	return true;
}

/* Stops serving; answers under way are broken off. */
void
server_stop(void)
{
	wakeups_stop();
	MHD_stop_daemon(server);
}
