/*
 * deliveries.c
 *	  What became of the last messages to webhooks, told by several threads.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "deliveries.h"

#define LOG_SIZE 1000

typedef struct Delivery
{
	int64_t number; /* 0 for none */
	char ttid[64];
	char event[32];
	int attempts;
	int status; /* of the last answer, or 0 */
	char error[128];
	bool over;
} Delivery;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Delivery ring[LOG_SIZE];
static int64_t last;

/* A message is to be sent; returns its number. */
int64_t
deliveries_begin(const char *ttid, const char *event)
{
	Delivery *delivery;
	int64_t number;

	pthread_mutex_lock(&lock);
	number = ++last;
	delivery = &ring[number % LOG_SIZE];
	*delivery = (Delivery){.number = number};
	snprintf(delivery->ttid, sizeof(delivery->ttid), "%s", ttid);
	snprintf(delivery->event, sizeof(delivery->event), "%s", event);
	pthread_mutex_unlock(&lock);
	return number;
}

/* It was sent once more: what came back, or what went wrong, and whether that was it. */
void
deliveries_note(int64_t number, int status, const char *error, bool over)
{
	Delivery *delivery = &ring[number % LOG_SIZE];

	pthread_mutex_lock(&lock);
	if (delivery->number == number)
	{
		delivery->attempts++;
		delivery->status = status;
		snprintf(delivery->error, sizeof(delivery->error), "%s", error);
		delivery->over = over;
	}
	pthread_mutex_unlock(&lock);
}

/* Writes the last messages, oldest first, as a JSON object. */
void
deliveries_write(Text *text)
{
	const char *comma = "";

	text_add_string(text, "{\"deliveries\":[");
	pthread_mutex_lock(&lock);
	for (int64_t number = last < LOG_SIZE ? 1 : last - LOG_SIZE + 1; number <= last; number++)
	{
		const Delivery *delivery = &ring[number % LOG_SIZE];

		if (delivery->number != number)
			continue;
		text_printf(text,
					"%s{\"n\":%lld,\"ttid\":\"%s\",\"event\":\"%s\",\"attempts\":%d,\"status\":%d,\"error\":", comma,
					(long long) number, delivery->ttid, delivery->event, delivery->attempts, delivery->status);
		text_add_json_string(text, delivery->error);
		text_printf(text, ",\"over\":%s}", delivery->over ? "true" : "false");
		comma = ",";
	}
	pthread_mutex_unlock(&lock);
	text_add_string(text, "]}");
}

/* Forgets them. */
void
deliveries_clear(void)
{
	pthread_mutex_lock(&lock);
	memset(ring, 0, sizeof(ring));
	pthread_mutex_unlock(&lock);
}
