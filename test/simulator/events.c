/*
 * events.c
 *	  What happens to interactions, told to webhooks with the parameters that
 *	  Twilio's page "Register a webhook to receive Interactions events" lists;
 *	  and new messages of conversations, as its page "Conversations Webhooks" says.
 */
#include <stdlib.h>
#include <string.h>

#include "documents.h"
#include "events.h"
#include "interactions.h"
#include "json_text.h"
#include "webhooks.h"

const char *const event_types[] = {"onInteractionCreated",   "onChannelCreated",    "onChannelCreateFailed",
								   "onChannelStatusUpdated", "onParticipantJoined", "onParticipantLeft",
								   "onParticipantUpdated",   MESSAGE_ADDED,         NULL};

/* Whether there are such events. */
bool
is_event_type(const char *type)
{
	for (int i = 0; event_types[i] != NULL; i++)
		if (strcmp(event_types[i], type) == 0)
			return true;
	return false;
}

/* Adds a parameter unless it has no value. */
static void
add(json_object *parameters, const char *name, const char *value)
{
	if (value != NULL)
		json_object_object_add(parameters, name, json_object_new_string(value));
}

/* Adds what an event says of the participant. */
static void
add_participant(json_object *parameters, const Event *event)
{
	json_object *members = store_members(event->participant);
	char *task = task_of(event->channel->list->owner);

	add(parameters, "ParticipantSid", event->participant->sid);
	add(parameters, "ParticipantType", json_text_member(members, "type"));
	add(parameters, "TaskSid", task);
	free(task);
	json_object_put(members);
}

/* Adds what an event says of what went wrong. */
static void
add_failure(json_object *parameters, json_object *channel)
{
	json_object *code = json_member(channel, "error_code");

	add(parameters, "ErrorCode", code ? json_object_get_string(code) : NULL);
	add(parameters, "ErrorMessage", json_text_member(channel, "error_message"));
}

/* An event's parameters; the caller owns them. */
static json_object *
describe(const Event *event)
{
	const Resource *interaction = event->channel->list->owner;
	Account *account = event->channel->list->account;
	json_object *parameters = json_object_new_object();
	json_object *channel = store_members(event->channel);
	json_object *configuration = document_members(account, "/v1/Configuration");
	char *conversation = conversation_of(interaction);

	add(parameters, "EventType", event->type);
	add(parameters, "AccountSid", account->sid);
	if (event->participant == NULL && strcmp(event->type, "onChannelCreateFailed") != 0)
		add(parameters, "InstanceSid", json_text_member(configuration, "flex_instance_sid"));
	add(parameters, "InteractionSid", interaction->sid);
	if (strcmp(event->type, "onInteractionCreated") != 0)
		add(parameters, "ChannelSid", event->channel->sid);
	add(parameters, "MediaChannelSid", conversation);
	add(parameters, "MediaChannelType", json_text_member(channel, "type"));
	add(parameters, "ChannelStatus", event->status);
	if (event->participant != NULL)
		add_participant(parameters, event);
	if (strcmp(event->type, "onChannelCreateFailed") == 0)
		add_failure(parameters, channel);
	free(conversation);
	json_object_put(configuration);
	json_object_put(channel);
	return parameters;
}

/* Tells an event to the webhooks that it is for. */
void
publish_event(const Event *event)
{
	Account *account = event->channel->list->account;
	json_object *interaction;
	json_object *parameters;

	if (!webhooks_wanted(account))
		return;
	interaction = store_members(event->channel->list->owner);
	parameters = describe(event);
	webhooks_send(account, event->type, json_text_member(interaction, "webhook_ttid"), parameters);
	json_object_put(parameters);
	json_object_put(interaction);
}

/* Tells a new message of a conversation; the client is the identity of a browser that wrote it, or NULL. */
void
publish_message(const Resource *message, const char *client)
{
	static const char *const told[][2] = {{"Body", "body"},
										  {"Author", "author"},
										  {"Attributes", "attributes"},
										  {"DateCreated", "date_created"},
										  {"ParticipantSid", "participant_sid"}};
	Account *account = message->list->account;
	json_object *parameters;
	json_object *members;
	json_object *configuration;

	if (!webhooks_wanted(account))
		return;
	parameters = json_object_new_object();
	members = store_members(message);
	configuration = document_members(account, "/v1/Configuration");
	add(parameters, "EventType", MESSAGE_ADDED);
	add(parameters, "AccountSid", account->sid);
	add(parameters, "ChatServiceSid", json_text_member(configuration, "chat_service_instance_sid"));
	add(parameters, "ConversationSid", message->list->owner->sid);
	add(parameters, "MessageSid", message->sid);
	add(parameters, "Index", json_object_get_string(json_member(members, "index")));
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		add(parameters, told[i][0], json_text_member(members, told[i][1]));
	add(parameters, "Source", client ? "SDK" : "API");
	add(parameters, "ClientIdentity", client);
	add(parameters, "RetryCount", "0");
	webhooks_send(account, MESSAGE_ADDED, NULL, parameters);
	json_object_put(configuration);
	json_object_put(members);
	json_object_put(parameters);
}
