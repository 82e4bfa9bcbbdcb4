/*
 * channel_effects.c
 *	  What happens besides when chats and interactions are made or changed:
 *	  a chat needs a flow that exists, an interaction opens its first channel.
 */
#include <string.h>

#include "checks.h"
#include "effects.h"
#include "json_text.h"
#include "options.h"
#include "resources.h"

/* A legacy chat channel belongs to a flow, which must exist. */
bool
require_flow(Change *change)
{
	const char *sid = json_text_member(change->members, "flex_flow_sid");

	if (sid != NULL && store_find(store_list(kinds_of_shape("/v1/FlexFlows"), NULL), sid) == NULL)
		return refuse(change->request, 400, 20001, "FlexFlowSid", "FlexFlow %s not found", sid);
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

/* Completes the routing that was asked for as TaskRouter would, in its place. */
static void
complete_routing(json_object *routing)
{
	json_object *properties = json_member(routing, "properties");
	char sid[SID_LENGTH + 1];

	if (!json_object_is_type(properties, json_type_object))
	{
		properties = json_object_new_object();
		json_object_object_add(routing, "properties", properties);
	}
	make_sid("WT", sid);
	json_object_object_add(properties, "sid", json_object_new_string(sid));
	json_object_object_add(properties, "account_sid", json_object_new_string(options.account));
	json_object_object_add(properties, "assignment_status", json_object_new_string("pending"));
	if (json_member(properties, "task_channel_unique_name") == NULL)
		json_object_object_add(properties, "task_channel_unique_name", json_object_new_string("default"));
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
	json_object *shown;
	char sid[SID_LENGTH + 1];

	if (type == NULL)
		return refuse(change->request, 400, 20001, "Channel", "Invalid value for parameter Channel: type is missing");
	if (!is_choice(schema_member(channels->schema, "type")->choices, type, strlen(type)))
		return refuse(change->request, 400, 20001, "Channel",
					  "Invalid value for parameter Channel: type %.40s is unknown", type);
	if (!check_routing(change, channel, routing))
		return false;
	if (json_object_is_type(routing, json_type_object))
		complete_routing(routing);
	make_sid("UO", sid);
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
	json_object *members = resource_blank(kind, change->resource, json_text_member(shown, "sid"));
	json_object *channel = NULL;
	Resource *resource;

	json_object_object_add(members, "type", json_object_get(json_member(shown, "type")));
	json_object_object_add(members, "status", json_object_new_string("setup"));
	resource = store_add(store_list(kind, change->resource), json_text_member(shown, "sid"), NULL, members);
	resource->due_us = now_us() + options.setup_ms * 1000;
	if (sent != NULL && json_read(sent->value, sent->length, &channel))
		resource->fails = json_object_get_boolean(json_member(json_member(channel, "properties"), "fail"));
	json_object_put(channel);
	json_object_put(members);
	return true;
}

/* A channel that is over stays so; one that is closed no longer gets set up. */
bool
change_channel(Change *change)
{
	json_object *before = store_members(change->resource);
	const char *status = json_text_member(before, "status");
	bool over = strcmp(status, "closed") == 0 || strcmp(status, "failed") == 0;

	if (over)
		refuse(change->request, 400, 45006, "Status", "Channel %s is already %s", change->resource->sid, status);
	else
		change->resource->due_us = 0;
	json_object_put(before);
	return !over;
}

/* An invite's routing is completed like an interaction's. */
bool
route_invite(Change *change)
{
	json_object *routing = json_member(change->members, "routing");

	if (!json_object_is_type(json_member(routing, "properties"), json_type_object))
		return refuse(change->request, 400, 20001, "Routing",
					  "Invalid value for parameter Routing: properties are missing");
	complete_routing(routing);
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
