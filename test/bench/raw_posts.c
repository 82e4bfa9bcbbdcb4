/*
 * raw_posts.c
 *	  The baseline for the outbox: POST bodies to a URL, many at once.
 *
 *	  raw_posts [-H HEADER]... [-c CA_FILE] [-p] -b BODIES -n CONCURRENCY URL COUNT
 *
 * One multi handle, driven by epoll as libcurl's manual has it for speed: what a
 * program must spend that keeps nothing.  BODIES has a body a line, taken in
 * turns.  The first CONCURRENCY requests go before the clock starts, so that
 * the connections stand.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "raw.h"

#define STATUS_CREATED 201
#define MAX_EVENTS 64

typedef struct Bodies
{
	char **lines;
	long count;
} Bodies;

/* A handle, and the answer that it is getting. */
typedef struct Sending
{
	CURL *handle;
	RawBody body;
} Sending;

static int waiting;           /* the epoll's descriptor */
static int64_t timer_at = -1; /* when libcurl wants to be called, in ms; -1: never */
static json_tokener *tokener;

/* Read the file of bodies. */
static Bodies
read_bodies(const char *name)
{
	Bodies bodies = {0};
	FILE *file = name != NULL ? fopen(name, "r") : NULL;
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	if (file == NULL)
		raw_fail("bodies", "cannot be read");
	while ((length = getline(&line, &room, file)) > 0)
	{
		if (line[length - 1] == '\n')
			line[length - 1] = '\0';
		bodies.lines = realloc(bodies.lines, (size_t) (bodies.count + 1) * sizeof(char *));
		bodies.lines[bodies.count++] = strdup(line);
	}
	free(line);
	fclose(file);
	if (bodies.count == 0)
		raw_fail("bodies", "there are none");
	return bodies;
}

static int64_t
now_ms(void)
{
	return raw_cost_now().wall / 1000;
}

static int
timer_changed(CURLM *multi, long timeout_ms, void *data)
{
	(void) multi;
	(void) data;
	timer_at = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	return 0;
}

/* libcurl wants to know of other events; known tells whether the epoll has the socket. */
static int
socket_changed(CURL *handle, curl_socket_t fd, int what, void *data, void *known)
{
	struct epoll_event event = {.data.fd = fd};

	(void) handle;
	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(waiting, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	epoll_ctl(waiting, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
	curl_multi_assign((CURLM *) data, fd, &waiting);
	return 0;
}

/* Have a handle send the next body. */
static void
start(CURLM *multi, Sending *sending, const Bodies *bodies, long number)
{
	sending->body.length = 0;
	curl_easy_setopt(sending->handle, CURLOPT_POSTFIELDS, bodies->lines[number % bodies->count]);
	curl_multi_add_handle(multi, sending->handle);
}

/* Take the answers that are there, and send another request for each as long as there are any left to send. */
static void
take_answers(CURLM *multi, const Bodies *bodies, long count, long *sent, long *answered)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		CURL *handle = message->easy_handle;
		Sending *sending;

		raw_check(handle, message->data.result, STATUS_CREATED);
		curl_easy_getinfo(handle, CURLINFO_PRIVATE, (char **) &sending);
		json_object_put(raw_parse(tokener, &sending->body));
		(*answered)++;
		curl_multi_remove_handle(multi, handle);
		if (*sent < count)
			start(multi, sending, bodies, (*sent)++);
	}
}

/* Let libcurl work on what has happened. */
static void
drive(CURLM *multi)
{
	struct epoll_event events[MAX_EVENTS];
	int64_t pause = timer_at < 0 ? -1 : timer_at - now_ms();
	int running;
	int count = epoll_wait(waiting, events, MAX_EVENTS, timer_at < 0 ? -1 : (int) (pause > 0 ? pause : 0));

	for (int i = 0; i < count; i++)
	{
		int what = (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
				   (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CURL_CSELECT_IN : 0);

		curl_multi_socket_action(multi, events[i].data.fd, what, &running);
	}
	if (timer_at >= 0 && timer_at <= now_ms())
	{
		timer_at = -1;
		curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

/* Send so many requests, all handles at work. */
static void
send_all(CURLM *multi, Sending *sendings, int concurrency, const Bodies *bodies, long count)
{
	long sent = 0;
	long answered = 0;

	while (sent < concurrency && sent < count)
	{
		start(multi, &sendings[sent], bodies, sent);
		sent++;
	}
	while (answered < count)
	{
		drive(multi);
		take_answers(multi, bodies, count, &sent, &answered);
	}
}

int
main(int argc, char **argv)
{
	RawOptions options = raw_options(argc, argv);
	Bodies bodies = read_bodies(options.bodies);
	Sending *sendings = calloc((size_t) options.concurrency, sizeof(Sending));
	CURLM *multi = curl_multi_init();
	RawCost begin;

	waiting = epoll_create1(EPOLL_CLOEXEC);
	tokener = json_tokener_new();
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, multi);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_changed);
	for (int i = 0; i < options.concurrency; i++)
	{
		sendings[i].handle = raw_handle(&options, &sendings[i].body);
		curl_easy_setopt(sendings[i].handle, CURLOPT_URL, options.url);
		curl_easy_setopt(sendings[i].handle, CURLOPT_PRIVATE, &sendings[i]);
	}
	send_all(multi, sendings, options.concurrency, &bodies, options.concurrency);
	begin = raw_cost_now();
	send_all(multi, sendings, options.concurrency, &bodies, options.count);
	raw_print_cost(begin);
	return 0;
}
