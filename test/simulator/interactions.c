/*
 * interactions.c
 *	  What an interaction and its channel say, and what becomes of them: the
 *	  end of a setup, and the steps that agents take. A step changes the
 *	  resources that an agent's doing would change, and tells webhooks.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "events.h"
#include "interactions.h"
#include "json_text.h"
#include "resources.h"

/* A member of an interaction's routing properties, which is a string; the caller frees it. NULL for none. */
static char *
routing_text(const Resource *interaction, const char *name, const char *within)
{
	json_object *members = store_members(interaction);
	const char *text = json_text_member(json_member(json_member(members, "routing"), "properties"), name);
	json_object *held = within && text ? json_reread(text, strlen(text)) : NULL;
	char *copy;

	if (within != NULL)
		text = json_text_member(held, within);
	copy = text ? must_copy(text) : NULL;
	json_object_put(held);
	json_object_put(members);
	return copy;
}

/* The conversation that an interaction's own task is about; the caller frees it. NULL for none. */
char *
conversation_of(const Resource *interaction)
{
	return routing_text(interaction, "attributes", "conversationSid");
}

/* The task of an interaction; the caller frees it. NULL for none. */
char *
task_of(const Resource *interaction)
{
	return routing_text(interaction, "sid", NULL);
}

/* A channel by the SIDs of its interaction and its own, or the interaction's first where that is NULL; or NULL. */
Resource *
find_channel(Account *account, const char *interaction, const char *channel)
{
	Resource *owner = store_find(store_list(account, kinds_of_shape("/v1/Interactions"), NULL), interaction);
	List *list = owner ? store_list(account, kinds_of_shape("/v1/Interactions/{}/Channels"), owner) : NULL;

	if (list == NULL)
		return NULL;
	if (channel != NULL)
		return store_find(list, channel);
	return list->count > 0 ? list->slots[0].resource : NULL;
}

/* Sets one member of a resource. */
static void
set_text(Resource *resource, const char *name, const char *value)
{
	json_object *members = store_members(resource);

	json_object_object_add(members, name, json_object_new_string(value));
	store_rewrite(resource, members);
	json_object_put(members);
}

/* Sets the status of a channel, and tells webhooks; whatever was to end its setup is off. */
void
set_channel_status(Resource *channel, const char *status)
{
	channel->due_us = 0;
	set_text(channel, "status", status);
	publish_event(&(Event){.type = "onChannelStatusUpdated", .channel = channel, .status = status});
}

/* Sets the assignment status of an interaction's task, if it has one. */
void
set_assignment(Resource *interaction, const char *status)
{
	json_object *members = store_members(interaction);
	json_object *properties = json_member(json_member(members, "routing"), "properties");

	if (json_object_is_type(properties, json_type_object))
	{
		json_object_object_add(properties, "assignment_status", json_object_new_string(status));
		json_object_object_add(properties, "date_updated", json_object_new_int64(clock_seconds()));
		store_rewrite(interaction, members);
	}
	json_object_put(members);
}

/* Lets a channel that was being set up become active, or fail, once it is due. */
void
settle_setup(Resource *resource)
{
	json_object *members;

	if (resource->due_us == 0 || clock_us() < resource->due_us)
		return;
	if (!resource->fails)
	{
		set_channel_status(resource, "active");
		return;
	}
	resource->due_us = 0;
	members = store_members(resource);
	json_object_object_add(members, "status", json_object_new_string("failed"));
	json_object_object_add(members, "error_code", json_object_new_int(19025));
	json_object_object_add(members, "error_message", json_object_new_string("Channel validation error"));
	store_rewrite(resource, members);
	json_object_put(members);
	publish_event(&(Event){.type = "onChannelCreateFailed", .channel = resource});
}

/* Whether the channel has one of those statuses; the list ends with NULL. */
static bool
has_status(const Resource *channel, const char *const *statuses)
{
	json_object *members = store_members(channel);
	const char *status = json_text_member(members, "status");
	bool same = false;

	for (; status != NULL && *statuses != NULL; statuses++)
		same = same || strcmp(status, *statuses) == 0;
	json_object_put(members);
	return same;
}

/* The list of a kind that a channel has. */
static List *
list_of(Resource *channel, const char *word)
{
	Text shape = {0};
	const Kind *kind;

	text_printf(&shape, "/v1/Interactions/{}/Channels/{}/%s", word);
	kind = kinds_of_shape(shape.data);
	text_free(&shape);
	return store_list(channel->list->account, kind, channel);
}

/* The agent that joined last, or NULL. */
static Resource *
last_agent(Resource *channel)
{
	List *participants = list_of(channel, "Participants");

	for (size_t i = participants->count; i-- > 0;)
		if (participants->slots[i].resource != NULL &&
			strstr(participants->slots[i].resource->text, "\"type\":\"agent\"") != NULL)
			return participants->slots[i].resource;
	return NULL;
}

/* The transfer that is under way, or NULL. */
static Resource *
open_transfer(Resource *channel)
{
	List *transfers = list_of(channel, "Transfers");

	for (size_t i = transfers->count; i-- > 0;)
		if (transfers->slots[i].resource != NULL &&
			strstr(transfers->slots[i].resource->text, "\"status\":\"active\"") != NULL)
			return transfers->slots[i].resource;
	return NULL;
}

/* Sets what details name, or a new SID. */
static void
set_sid(json_object *members, const char *name, json_object *details, const char *detail, const char *prefix)
{
	const char *given = json_text_member(details, detail);
	char sid[SID_LENGTH + 1];

	make_sid(prefix, sid);
	json_object_object_add(members, name, json_object_new_string(given ? given : sid));
}

/* An agent takes the work: another participant, and the task is assigned. */
static bool
join(Resource *channel, json_object *details, Problem *problem)
{
	List *participants = list_of(channel, "Participants");
	Account *account = channel->list->account;
	json_object *members;
	json_object *routing = json_object_new_object();
	char *task = task_of(channel->list->owner);
	char sid[SID_LENGTH + 1];
	Resource *agent;

	(void) problem;
	make_sid("UT", sid);
	members = resource_blank(account, participants->kind, channel, sid);
	set_sid(routing, "worker_sid", details, "worker_sid", "WK");
	if (task != NULL)
		json_object_object_add(routing, "task_sid", json_object_new_string(task));
	json_object_object_add(members, "type", json_object_new_string("agent"));
	json_object_object_add(members, "routing_properties", routing);
	agent = store_add(participants, sid, NULL, members);
	set_assignment(channel->list->owner, "assigned");
	publish_event(&(Event){.type = "onParticipantJoined", .channel = channel, .participant = agent});
	json_object_put(members);
	free(task);
	return true;
}

/* The agent who joined last goes; nobody is asked whether another is there. */
static bool
leave(Resource *channel, json_object *details, Problem *problem)
{
	Resource *agent = last_agent(channel);

	(void) details;
	if (agent == NULL)
		return problem_note(problem, "step", "no agent is in the channel");
	publish_event(&(Event){.type = "onParticipantLeft", .channel = channel, .participant = agent});
	store_delete(agent);
	return true;
}

/* The agent offers the work to another: a transfer that is active. */
static bool
transfer(Resource *channel, json_object *details, Problem *problem)
{
	List *transfers = list_of(channel, "Transfers");
	Resource *agent = last_agent(channel);
	const char *type = json_text_member(details, "type");
	char sid[SID_LENGTH + 1];
	json_object *members;

	if (agent == NULL)
		return problem_note(problem, "step", "no agent is in the channel");
	if (type != NULL && !is_choice(schema_member(transfers->kind->schema, "type")->choices, type, strlen(type)))
		return problem_note(problem, "type", "must be one of %s",
							schema_member(transfers->kind->schema, "type")->choices);
	make_sid("UX", sid);
	members = resource_blank(channel->list->account, transfers->kind, channel, sid);
	json_object_object_add(members, "from", json_object_new_string(agent->sid));
	set_sid(members, "to", details, "to", "WK");
	if (type != NULL)
		json_object_object_add(members, "type", json_object_new_string(type));
	store_add(transfers, sid, NULL, members);
	json_object_put(members);
	set_text(channel, "status", "transfer");
	return true;
}

/* Ends the transfer that is under way. */
static Resource *
end_transfer(Resource *channel, const char *status, Problem *problem)
{
	Resource *transfer = open_transfer(channel);

	if (transfer == NULL)
	{
		problem_note(problem, "step", "no transfer is under way");
		return NULL;
	}
	set_text(transfer, "status", status);
	set_text(transfer, "date_updated", date_now());
	set_text(channel, "status", "active");
	return transfer;
}

/* The other agent takes the work over, and the first one goes. */
static bool
accept_transfer(Resource *channel, json_object *details, Problem *problem)
{
	Resource *first = last_agent(channel);
	Resource *transfer = end_transfer(channel, "completed", problem);
	json_object *members;
	json_object *worker;

	(void) details;
	if (transfer == NULL)
		return false;
	members = store_members(transfer);
	worker = json_object_new_object();
	json_object_object_add(worker, "worker_sid", json_object_get(json_member(members, "to")));
	join(channel, worker, problem);
	json_object_put(worker);
	json_object_put(members);
	if (first == NULL)
		return true;
	publish_event(&(Event){.type = "onParticipantLeft", .channel = channel, .participant = first});
	store_delete(first);
	return true;
}

/* The other agent does not take the work. */
static bool
refuse_transfer(Resource *channel, json_object *details, Problem *problem)
{
	(void) details;
	return end_transfer(channel, "failed", problem) != NULL;
}

/* The agent has only the paperwork left. */
static bool
wrap_up(Resource *channel, json_object *details, Problem *problem)
{
	Resource *agent = last_agent(channel);

	(void) details;
	if (agent == NULL)
		return problem_note(problem, "step", "no agent is in the channel");
	set_assignment(channel->list->owner, "wrapping");
	publish_event(&(Event){.type = "onParticipantUpdated", .channel = channel, .participant = agent});
	return true;
}

/* Everything is over: agents go, the task is completed. */
static bool
close_channel(Resource *channel, json_object *details, Problem *problem)
{
	while (last_agent(channel) != NULL)
		leave(channel, details, problem);
	set_assignment(channel->list->owner, "completed");
	set_channel_status(channel, "closed");
	return true;
}

typedef struct Step
{
	const char *name;
	bool (*take)(Resource *channel, json_object *details, Problem *problem);
	const char *statuses[4]; /* of the channel, in which it can be taken */
} Step;

static const Step steps[] = {
	{.name = "join", .take = join, .statuses = {"active"}},
	{.name = "leave", .take = leave, .statuses = {"active"}},
	{.name = "transfer", .take = transfer, .statuses = {"active"}},
	{.name = "accept_transfer", .take = accept_transfer, .statuses = {"transfer"}},
	{.name = "refuse_transfer", .take = refuse_transfer, .statuses = {"transfer"}},
	{.name = "wrapup", .take = wrap_up, .statuses = {"active"}},
	{.name = "close", .take = close_channel, .statuses = {"active", "transfer", "inactive"}},
};

#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

/* Whether there is such a step; with the problem if not. */
bool
is_step(const char *name, Problem *problem)
{
	Text names = {0};

	for (size_t i = 0; i < STEP_COUNT; i++)
	{
		if (name != NULL && strcmp(steps[i].name, name) == 0)
		{
			text_free(&names);
			return true;
		}
		text_printf(&names, "%s%s", i ? ", " : "", steps[i].name);
	}
	problem_note(problem, "step", "there are %s", names.data);
	text_free(&names);
	return false;
}

/* Has an interaction go on by a step; false, with the problem, if it cannot. */
bool
take_step(Resource *channel, const char *name, json_object *details, Problem *problem)
{
	if (!is_step(name, problem))
		return false;
	settle_setup(channel);
	for (size_t i = 0; i < STEP_COUNT; i++)
	{
		if (strcmp(steps[i].name, name) != 0)
			continue;
		if (has_status(channel, steps[i].statuses))
			return steps[i].take(channel, details, problem);
	}
	return problem_note(problem, "step", "the channel's status does not allow it now");
}
