/*
 * webhook_sender.h
 *	  Sends messages to a webhook, one after the other.
 */
#ifndef SIMULATOR_WEBHOOK_SENDER_H
#define SIMULATOR_WEBHOOK_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "problem.h"
#include "text.h"

/* One request to be sent; it belongs to the sender once it is handed over. */
typedef struct Message
{
	struct Message *next;
	int64_t number; /* in the log */
	bool get;
	Text url;
	Text body;
	const char *content_type;
	Text signature;
	char token[40]; /* the same each time it is sent */
} Message;

typedef struct Sender Sender;

extern Sender *sender_new(const char *url, Problem *problem);
extern void sender_free(Sender *sender);
extern Message *message_new(const char *ttid, const char *event, bool get);
extern void sender_send(Sender *sender, Message *message);

#endif
