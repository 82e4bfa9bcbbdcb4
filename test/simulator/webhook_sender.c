/*
 * webhook_sender.c
 *	  Sends messages to a webhook, in a thread of its own and one after the
 *	  other, so that they arrive in order and hold up nobody. How long it
 *	  waits, and what is sent again, is the webhook's URL's to say.
 */
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliveries.h"
#include "identifiers.h"
#include "options.h"
#include "webhook_sender.h"
#include "webhook_url.h"

struct Sender
{
	pthread_t thread;
	pthread_mutex_t lock; /* of the queue */
	pthread_cond_t changed;
	Message *first;
	Message **end;
	atomic_bool stopping;
	CURLM *multi;
	CURL *easy;
	Connection how;
};

/* Whether an address is the machine's own. */
static bool
is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr) >> 24 == 127;
	return address->sa_family == AF_INET6 &&
		   IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *) address)->sin6_addr) != 0;
}

/* Opens a socket, to where it may lead: CURLOPT_OPENSOCKETFUNCTION. */
static curl_socket_t
open_socket(void *unused, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void) unused;
	(void) purpose;
	if (!options.webhooks_anywhere && !is_loopback(&address->addr))
		return CURL_SOCKET_BAD;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Throws what a webhook answers away: CURLOPT_WRITEFUNCTION. */
static size_t
drop(const char *data, size_t size, size_t count, void *unused)
{
	(void) data;
	(void) unused;
	return size * count;
}

/* A message to be sent. */
Message *
message_new(const char *ttid, const char *event, bool get)
{
	Message *message = must_allocate(sizeof(Message));
	char unique[SID_LENGTH + 1];

	*message = (Message){.number = deliveries_begin(ttid, event), .get = get};
	make_sid("IT", unique);
	snprintf(message->token, sizeof(message->token), "%.8s-%.4s-%.4s-%.4s-%.12s", unique + 2, unique + 10, unique + 14,
			 unique + 18, unique + 22);
	return message;
}

/* Frees a message. */
static void
free_message(Message *message)
{
	text_free(&message->url);
	text_free(&message->body);
	text_free(&message->signature);
	free(message);
}

/* Adds a header. */
static struct curl_slist *
add_header(struct curl_slist *headers, const char *name, const char *value)
{
	Text line = {0};

	text_printf(&line, "%s: %s", name, value);
	headers = curl_slist_append(headers, line.data);
	text_free(&line);
	return headers;
}

/* The headers that Twilio sends. */
static struct curl_slist *
make_headers(const Message *message)
{
	struct curl_slist *headers = add_header(NULL, "X-Twilio-Signature", message->signature.data);

	headers = add_header(headers, "I-Twilio-Idempotency-Token", message->token);
	headers = add_header(headers, "User-Agent", "TwilioProxy/1.1");
	headers = add_header(headers, "Accept", "*/*");
	headers = add_header(headers, "Expect", "");
	if (message->content_type != NULL)
		headers = add_header(headers, "Content-Type", message->content_type);
	return headers;
}

/* Sets the request that is sent next. */
static void
prepare(Sender *sender, const Message *message, struct curl_slist *headers, int64_t left_ms)
{
	CURL *easy = sender->easy;
	int64_t limit_ms = sender->how.connect_ms + sender->how.read_ms;

	curl_easy_reset(easy);
	curl_easy_setopt(easy, CURLOPT_URL, message->url.data);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* A developer's own server has a certificate that nobody vouches for. */
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) sender->how.connect_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) (limit_ms < left_ms ? limit_ms : left_ms));
	if (message->get)
		return;
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) message->body.length);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, message->body.data ? message->body.data : "");
}

/* Sends what is prepared, until it is over or the sender is to stop. */
static CURLcode
perform(Sender *sender)
{
	CURLcode result = CURLE_ABORTED_BY_CALLBACK;
	int running = 1;
	int queued;
	CURLMsg *done;

	curl_multi_add_handle(sender->multi, sender->easy);
	while (running > 0 && !sender->stopping)
	{
		curl_multi_perform(sender->multi, &running);
		if (running > 0)
			curl_multi_poll(sender->multi, NULL, 0, 1000, NULL);
	}
	while ((done = curl_multi_info_read(sender->multi, &queued)) != NULL)
		result = done->data.result;
	curl_multi_remove_handle(sender->multi, sender->easy);
	return result;
}

/* What kind of failure it was, if it was one. */
static Failure
classify(CURL *easy, CURLcode result, long status)
{
	curl_off_t connected_us = 0;

	curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &connected_us);
	if (connected_us == 0)
		curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected_us);
	if (result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_SSL_CONNECT_ERROR ||
		(result == CURLE_OPERATION_TIMEDOUT && connected_us == 0))
		return FAILURE_CONNECT;
	if (result != CURLE_OK)
		return FAILURE_READ;
	return status >= 500 ? FAILURE_5XX : status >= 400 ? FAILURE_4XX : FAILURE_NONE;
}

/* Sends a message, and again where that is the policy. */
static void
deliver(Sender *sender, const Message *message)
{
	int64_t end_us = now_us() + sender->how.total_ms * 1000;
	struct curl_slist *headers = make_headers(message);

	for (int64_t attempt = 0; !sender->stopping; attempt++)
	{
		int64_t left_ms = (end_us - now_us()) / 1000;
		CURLcode result;
		Failure failure;
		long status = 0;
		bool again;

		prepare(sender, message, headers, left_ms > 1 ? left_ms : 1);
		result = perform(sender);
		if (sender->stopping)
			break;
		curl_easy_getinfo(sender->easy, CURLINFO_RESPONSE_CODE, &status);
		failure = classify(sender->easy, result, status);
		again = (failure & sender->how.policy) != 0 && attempt < sender->how.retries && now_us() < end_us;
		deliveries_note(message->number, (int) status, result == CURLE_OK ? "" : curl_easy_strerror(result), !again);
		if (!again)
			break;
	}
	curl_slist_free_all(headers);
}

/* Waits for the next message; NULL at the end. */
static Message *
next_message(Sender *sender)
{
	Message *message;

	pthread_mutex_lock(&sender->lock);
	while (sender->first == NULL && !sender->stopping)
		pthread_cond_wait(&sender->changed, &sender->lock);
	message = sender->first;
	if (message != NULL)
		sender->first = message->next;
	if (sender->first == NULL)
		sender->end = &sender->first;
	pthread_mutex_unlock(&sender->lock);
	return message;
}

/* Sends messages until the end; those that are left then are dropped. */
static void *
send_messages(void *data)
{
	Sender *sender = data;
	Message *message;

	while ((message = next_message(sender)) != NULL)
	{
		deliver(sender, message);
		free_message(message);
	}
	return NULL;
}

/* A sender for a URL; NULL, with the problem, if the URL is not good. */
Sender *
sender_new(const char *url, Problem *problem)
{
	Sender *sender = must_allocate(sizeof(Sender));

	*sender = (Sender){.first = NULL};
	if (!connection_of(url, &sender->how, problem))
	{
		free(sender);
		return NULL;
	}
	sender->end = &sender->first;
	sender->multi = curl_multi_init();
	sender->easy = curl_easy_init();
	pthread_mutex_init(&sender->lock, NULL);
	pthread_cond_init(&sender->changed, NULL);
	pthread_create(&sender->thread, NULL, send_messages, sender);
	return sender;
}

/* Hands a message over, which is sent after those before it. */
void
sender_send(Sender *sender, Message *message)
{
	pthread_mutex_lock(&sender->lock);
	message->next = NULL;
	*sender->end = message;
	sender->end = &message->next;
	pthread_cond_signal(&sender->changed);
	pthread_mutex_unlock(&sender->lock);
}

/* Ends a sender at once. */
void
sender_free(Sender *sender)
{
	pthread_mutex_lock(&sender->lock);
	sender->stopping = true;
	pthread_cond_signal(&sender->changed);
	pthread_mutex_unlock(&sender->lock);
	curl_multi_wakeup(sender->multi);
	pthread_join(sender->thread, NULL);
	curl_easy_cleanup(sender->easy);
	curl_multi_cleanup(sender->multi);
	pthread_mutex_destroy(&sender->lock);
	pthread_cond_destroy(&sender->changed);
	free(sender);
}
