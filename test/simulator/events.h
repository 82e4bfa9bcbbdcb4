/*
 * events.h
 *	  What happens to interactions, and in conversations, told to webhooks.
 */
#ifndef SIMULATOR_EVENTS_H
#define SIMULATOR_EVENTS_H

#include "store.h"

typedef struct Event
{
	const char *type;      /* onChannelCreated, ... */
	Resource *channel;     /* of an interaction */
	Resource *participant; /* or NULL */
	const char *status;    /* of the channel, where the event tells it */
} Event;

/* Of Conversations; all others are of interactions. */
#define MESSAGE_ADDED "onMessageAdded"

extern bool is_event_type(const char *type);
extern const char *const event_types[]; /* NULL ends it */
extern void publish_event(const Event *event);
extern void publish_message(const Resource *message, const char *client);

#endif
