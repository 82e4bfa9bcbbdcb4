/*
 * channel_effects.c
 *	  What happens besides when chats and interactions are made or changed:
 *	  a chat needs a flow that exists, an interaction opens its first channel.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "checks.h"
#include "effects.h"
#include "events.h"
#include "interactions.h"
#include "json_text.h"
#include "options.h"
#include "resources.h"
#include "scripts.h"

/* A legacy chat channel belongs to a flow, which must exist; only one of type task makes a task of the chat. */
bool
require_flow(Change *change)
{
	const char *sid = json_text_member(change->members, "flex_flow_sid");
	Resource *flow =
		sid ? store_find(store_list(change->request->account, kinds_of_shape("/v1/FlexFlows"), NULL), sid) : NULL;
	json_object *members;

	if (flow == NULL)
		return refuse(change->request, 400, 20001, "FlexFlowSid", "FlexFlow %s not found", sid ? sid : "null");
	members = store_members(flow);
	if (schema_member(change->kind->schema, "task_sid") != NULL &&
		strcmp(json_text_member(members, "integration_type"), "task") != 0)
		json_object_object_add(change->members, "task_sid", NULL);
	json_object_put(members);
	return true;
}

/* A flow's integration needs what its type says, and fails at most three times more. */
bool
check_integration(Change *change)
{
	static const char *const needed[][3] = {{"studio", "flow_sid", "Integration.FlowSid"},
											{"external", "url", "Integration.Url"},
											{"task", "workspace_sid", "Integration.WorkspaceSid"},
											{"task", "workflow_sid", "Integration.WorkflowSid"}};
	json_object *integration = json_member(change->members, "integration");
	const char *type = json_text_member(change->members, "integration_type");
	int64_t retries = json_integer_member(integration, "retry_count", 0);

	if (retries < 0 || retries > 3)
		return refuse(change->request, 400, 20001, "Integration.RetryCount",
					  "Invalid value for parameter Integration.RetryCount: it must be from 0 to 3");
	/* What happens to a flow of no stated type is not documented. */
	for (int i = 0; request_pair(change->request, "IntegrationType", false) != NULL && i < 4; i++)
		if (strcmp(type, needed[i][0]) == 0 && json_member(integration, needed[i][1]) == NULL)
			return refuse(change->request, 400, 20001, needed[i][2], "%s is required when IntegrationType is %s",
						  needed[i][2], type);
	return true;
}

/* A web chat goes to an address; a customer without identity gets one. */
bool
identify_customer(Change *change)
{
	const Pair *address = request_pair(change->request, "AddressSid", false);
	char sid[SID_LENGTH + 1];

	if (strlen(address->value) != SID_LENGTH || strncmp(address->value, "IG", 2) != 0)
		return refuse(change->request, 400, 45760, "AddressSid", "Address %.100s is not configured", address->value);
	if (json_text_member(change->members, "identity") == NULL)
	{
		make_sid("FX", sid);
		json_object_object_add(change->members, "identity", json_object_new_string(sid));
	}
	return true;
}

/* Each update of a user makes a new version. */
bool
count_version(Change *change)
{
	int64_t version = json_integer_member(change->members, "version", 0);

	json_object_object_add(change->members, "version", json_object_new_int64(version + 1));
	return true;
}

/* What a task is about; the conversation may be NULL, for a new one. */
typedef struct Contact
{
	const char *interaction;
	const char *channel;
	const char *invite;
	const char *conversation;
	const char *type;
	const char *initiator; /* NULL for an invite */
	const Account *account;
} Contact;

/* Adds a member that is a text, unless there is none. */
static void
add_text(json_object *members, const char *name, const char *text)
{
	if (text != NULL)
		json_object_object_add(members, name, json_object_new_string(text));
}

/* Adds a new SID where a member is missing. */
static void
add_missing_sid(json_object *members, const char *name, const char *prefix)
{
	char sid[SID_LENGTH + 1];

	make_sid(prefix, sid);
	if (json_member(members, name) == NULL)
		json_object_object_add(members, name, json_object_new_string(sid));
}

/* The attributes, an object when they were sent, are answered as a string that holds JSON, with the service's own. */
static void
write_attributes(json_object *properties, const Contact *contact)
{
	json_object *sent = json_member(properties, "attributes");
	json_object *attributes =
		json_object_is_type(sent, json_type_object) ? json_object_get(sent) : json_object_new_object();
	Text text = {0};

	add_text(attributes, "channelType", contact->type);
	add_text(attributes, "conversationSid", contact->conversation);
	add_missing_sid(attributes, "conversationSid", "CH");
	add_text(attributes, "flexInteractionSid", contact->interaction);
	add_text(attributes, "flexInteractionChannelSid", contact->channel);
	add_text(attributes, "flexChannelInviteSid", contact->invite);
	add_text(attributes, "initiatedBy", contact->initiator);
	if (contact->initiator != NULL)
		add_text(attributes, "direction", strcmp(contact->initiator, "agent") == 0 ? "outbound" : "inbound");
	json_write(&text, attributes);
	json_object_object_add(properties, "attributes", json_object_new_string_len(text.data, (int) text.length));
	text_free(&text);
	json_object_put(attributes);
}

/* Completes the routing that was asked for as TaskRouter would, in its place. */
static void
complete_routing(json_object *routing, const Contact *contact)
{
	static const char usual[] =
		"{\"assignment_status\":\"pending\",\"task_channel_unique_name\":\"default\","
		"\"workflow_name\":\"Default Fifo Workflow\",\"queue_name\":\"Sample Queue\",\"priority\":0,\"age\":0,"
		"\"age_in_queue\":0,\"reason\":\"\",\"timeout\":86400,\"assignmentCounter\":0,\"addons\":\"{}\"}";
	static const char *const dates[] = {"date_created", "date_updated", "task_queue_entered_date"};
	json_object *properties = json_member(routing, "properties");
	json_object *rest = json_reread(usual, strlen(usual));

	if (!json_object_is_type(properties, json_type_object))
	{
		properties = json_object_new_object();
		json_object_object_add(routing, "properties", properties);
	}
	json_object_object_foreach(rest, name, value)
	{
		if (json_member(properties, name) == NULL)
			json_object_object_add(properties, name, json_object_get(value));
	}
	json_object_put(rest);
	for (int i = 0; i < 3; i++)
		json_object_object_add(properties, dates[i], json_object_new_int64(clock_seconds()));
	json_object_object_add(properties, "account_sid", json_object_new_string(contact->account->sid));
	json_object_object_del(properties, "sid");
	add_missing_sid(properties, "sid", "WT");
	add_missing_sid(properties, "workspace_sid", "WS");
	add_missing_sid(properties, "workflow_sid", "WW");
	add_missing_sid(properties, "queue_sid", "WQ");
	add_missing_sid(properties, "task_channel_sid", "TC");
	/* The worker that is asked for is answered by another name. */
	json_object_object_add(properties, "routing_target", json_object_get(json_member(properties, "worker_sid")));
	json_object_object_del(properties, "worker_sid");
	write_attributes(properties, contact);
	json_object_object_add(routing, "reservation", NULL);
}

/* An agent who opens a channel says where the work is to be routed. */
static bool
check_routing(Change *change, json_object *channel, json_object *routing)
{
	json_object *properties = json_member(routing, "properties");
	const char *initiator = json_text_member(channel, "initiated_by");

	if (initiator == NULL || strcmp(initiator, "agent") != 0)
		return true;
	if (json_text_member(properties, "queue_sid") == NULL || json_text_member(properties, "worker_sid") == NULL)
		return refuse(change->request, 400, 20001, "Routing",
					  "Routing properties queue_sid and worker_sid are required when an agent initiates");
	return true;
}

/* An interaction names its channel's type, and shows type and SID of it. */
bool
prepare_interaction(Change *change)
{
	json_object *channel = json_member(change->members, "channel");
	json_object *routing = json_member(change->members, "routing");
	const char *type = json_text_member(channel, "type");
	const Kind *channels = kinds_of_shape("/v1/Interactions/{}/Channels");
	Contact contact = {
		.interaction = json_text_member(change->members, "sid"), .type = type, .account = change->request->account};
	json_object *shown;
	char sid[SID_LENGTH + 1];
	char invite[SID_LENGTH + 1];

	if (type == NULL)
		return refuse(change->request, 400, 20001, "Channel", "Invalid value for parameter Channel: type is missing");
	if (!is_choice(schema_member(channels->schema, "type")->choices, type, strlen(type)))
		return refuse(change->request, 400, 20001, "Channel",
					  "Invalid value for parameter Channel: type %.40s is unknown", type);
	if (!check_routing(change, channel, routing))
		return false;
	make_sid("UO", sid);
	make_sid("KG", invite);
	contact.channel = sid;
	contact.invite = invite;
	contact.conversation = json_text_member(json_member(channel, "properties"), "media_channel_sid");
	contact.initiator = json_text_member(channel, "initiated_by");
	if (json_object_is_type(routing, json_type_object))
		complete_routing(routing, &contact);
	shown = json_object_new_object();
	json_object_object_add(shown, "type", json_object_new_string(type));
	json_object_object_add(shown, "sid", json_object_new_string(sid));
	json_object_object_add(change->members, "channel", shown);
	return true;
}

/* The channel that a new interaction opens; it is set up for a while. */
bool
open_channel(Change *change)
{
	const Kind *kind = kinds_of_shape("/v1/Interactions/{}/Channels");
	const Pair *sent = request_pair(change->request, "Channel", false);
	json_object *shown = json_member(change->members, "channel");
	json_object *members =
		resource_blank(change->request->account, kind, change->resource, json_text_member(shown, "sid"));
	json_object *channel = NULL;
	Resource *resource;

	json_object_object_add(members, "type", json_object_get(json_member(shown, "type")));
	json_object_object_add(members, "status", json_object_new_string("setup"));
	resource = store_add(store_list(change->request->account, kind, change->resource), json_text_member(shown, "sid"),
						 NULL, members);
	resource->due_us = clock_us() + options.setup_ms * 1000;
	if (sent != NULL && json_read(sent->value, sent->length, &channel))
		resource->fails = json_object_get_boolean(json_member(json_member(channel, "properties"), "fail"));
	json_object_put(channel);
	json_object_put(members);
	publish_event(&(Event){.type = "onInteractionCreated", .channel = resource});
	publish_event(&(Event){.type = "onChannelCreated", .channel = resource});
	script_begin(resource);
	return true;
}

/* Whether a parameter's JSON has that status. */
static bool
has_status(const Pair *pair, const char *wanted)
{
	json_object *value = json_reread(pair->value, pair->length);
	const char *status = json_text_member(value, "status");
	bool same = status != NULL && strcmp(status, wanted) == 0;

	json_object_put(value);
	return same;
}

/* A channel that is over stays so; one that is closed no longer gets set up. */
bool
change_channel(Change *change)
{
	json_object *before = store_members(change->resource);
	const char *status = json_text_member(before, "status");
	const Pair *wanted = request_pair(change->request, "Status", false);
	const Pair *routing = request_pair(change->request, "Routing", false);
	bool done = false;

	if (strcmp(status, "closed") == 0 || strcmp(status, "failed") == 0)
		refuse(change->request, 400, 45006, "Status", "Channel %s is already %s", change->resource->sid, status);
	else if (strcmp(wanted->value, "inactive") == 0 && (routing == NULL || !has_status(routing, "closed")))
		refuse(change->request, 400, 20001, "Routing", "Routing status closed is required when Status is inactive");
	else
	{
		change->resource->due_us = 0;
		done = true;
	}
	json_object_put(before);
	return done;
}

/* An invite's routing is completed like an interaction's. */
bool
route_invite(Change *change)
{
	json_object *routing = json_member(change->members, "routing");
	const Resource *channel = change->owner;
	const Resource *interaction = channel->list->owner;
	json_object *shown;
	char *conversation;

	if (!json_object_is_type(json_member(routing, "properties"), json_type_object))
		return refuse(change->request, 400, 20001, "Routing",
					  "Invalid value for parameter Routing: properties are missing");
	shown = store_members(channel);
	conversation = conversation_of(interaction);
	complete_routing(routing, &(Contact){.interaction = interaction->sid,
										 .channel = channel->sid,
										 .invite = json_text_member(change->members, "sid"),
										 .conversation = conversation,
										 .type = json_text_member(shown, "type"),
										 .account = change->request->account});
	free(conversation);
	json_object_put(shown);
	return true;
}

/* What a channel has become is told, and its task is over with it. */
bool
tell_channel(Change *change)
{
	const char *status = json_text_member(change->members, "status");

	if (strcmp(status, "closed") == 0)
		set_assignment(change->owner, "completed");
	publish_event(&(Event){.type = "onChannelStatusUpdated", .channel = change->resource, .status = status});
	return true;
}

/* Somebody was added to a channel. */
bool
tell_joined(Change *change)
{
	publish_event(&(Event){.type = "onParticipantJoined", .channel = change->owner, .participant = change->resource});
	return true;
}

/* Somebody is closed, and so has left, or is wrapping up. */
bool
tell_participant(Change *change)
{
	const Pair *status = request_pair(change->request, "Status", false);
	bool left = strcmp(status->value, "closed") == 0;

	publish_event(&(Event){.type = left ? "onParticipantLeft" : "onParticipantUpdated",
						   .channel = change->owner,
						   .participant = change->resource});
	return true;
}

/* A transfer's members must hold what the documents allow. */
bool
check_transfer(Change *change)
{
	static const char *const names[] = {"type", "status"};

	for (int i = 0; i < 2; i++)
	{
		const char *value = json_text_member(change->members, names[i]);
		const Member *member = schema_member(change->kind->schema, names[i]);

		if (value == NULL || !is_choice(member->choices, value, strlen(value)))
			return refuse(change->request, 400, 20001, names[i], "Invalid value for %s", names[i]);
	}
	return true;
}
