/*
 * instance_effects.c
 *	  What happens besides in a Flex instance: webhooks keep their events,
 *	  teams count their members, and users are provisioned and deprovisioned,
 *	  which no collection's POST does.
 */
#include <string.h>

#include "checks.h"
#include "clock.h"
#include "effects.h"
#include "events.h"
#include "json_text.h"
#include "resources.h"

#define USERS "/v4/Instances/{}/Users"

/* A webhook's events are what WebhookEvents says, each time it is sent. */
bool
keep_events(Change *change)
{
	json_object *events = NULL;

	for (size_t i = 0; i < change->request->pair_count; i++)
	{
		const Pair *pair = &change->request->pairs[i];

		if (strcmp(pair->name, "WebhookEvents") != 0)
			continue;
		if (events == NULL)
			events = json_object_new_array();
		json_object_array_add(events, json_object_new_string_len(pair->value, (int) pair->length));
	}
	if (events != NULL)
		json_object_object_add(change->members, "webhook_events", events);
	return true;
}

/* A message has the next place in its conversation; what a browser writes has its identity as author. */
bool
number_message(Change *change)
{
	List *messages = store_list(change->request->account, change->kind, change->owner);

	if (change->request->identity != NULL)
		json_object_object_add(change->members, "author", json_object_new_string(change->request->identity));
	json_object_object_add(change->members, "index", json_object_new_int64((int64_t) messages->count));
	return true;
}

/* A new message is told. */
bool
tell_message(Change *change)
{
	publish_message(change->resource, change->request->identity);
	return true;
}

/* A team has one member more. */
bool
count_member(Change *change)
{
	json_object *team = store_members(change->owner);

	json_object_object_add(team, "member_count",
						   json_object_new_int64(json_integer_member(team, "member_count", 0) + 1));
	store_rewrite(change->owner, team);
	json_object_put(team);
	return true;
}

/* The instance's users. */
static List *
users_of(Request *request)
{
	const Kind *kind = kinds_of_shape(USERS);
	Resource *instance = store_find_owner(store_list(request->account, kind->parent, NULL), request->values[0]);

	return store_list(request->account, kind, instance);
}

/* The user of that name, or NULL. */
static Resource *
find_username(List *users, const char *username)
{
	for (size_t i = 0; i < users->count; i++)
	{
		json_object *members = users->slots[i].resource ? store_members(users->slots[i].resource) : NULL;
		const char *name = json_text_member(members, "username");
		bool same = name != NULL && strcmp(name, username) == 0;

		json_object_put(members);
		if (same)
			return users->slots[i].resource;
	}
	return NULL;
}

/* Sets a member to a new SID. */
static void
set_new_sid(json_object *members, const char *name, const char *prefix)
{
	char sid[SID_LENGTH + 1];

	make_sid(prefix, sid);
	json_object_object_add(members, name, json_object_new_string(sid));
}

/* Makes a user, or changes the one of that name, as the request says. */
static Resource *
provision(Request *request, List *users)
{
	static const char *const sent[] = {"username", "roles", "full_name", "email"};
	Resource *user = find_username(users, json_text_member(request->json, "username"));
	char sid[SID_LENGTH + 1];
	json_object *members;

	make_sid("FU", sid);
	members = user != NULL ? store_members(user) : resource_blank(users->account, users->kind, users->owner, sid);
	if (json_text_member(members, "workspace_sid") == NULL)
	{
		set_new_sid(members, "workspace_sid", "WS");
		set_new_sid(members, "flex_team_sid", "QO");
	}
	if (json_text_member(members, "worker_sid") == NULL)
		set_new_sid(members, "worker_sid", "WK");
	for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++)
		json_object_object_add(members, sent[i], json_object_get(json_member(request->json, sent[i])));
	json_object_object_add(members, "deactivated", json_object_new_boolean(false));
	json_object_object_add(members, "deactivated_date", NULL);
	json_object_object_add(members, "updated_date", json_object_new_string(date_now()));
	json_object_object_add(members, "version", json_object_new_int64(json_integer_member(members, "version", 0) + 1));
	if (user != NULL)
		store_rewrite(user, members);
	else
		user = store_add(users, sid, NULL, members);
	json_object_put(members);
	return user;
}

/* Answers with a user as provisioning shows one: what TaskRouter has of it is in an object. */
static void
answer_provisioned(Request *request, const Resource *user)
{
	const Schema *schema = request->operation->schema;
	json_object *members = store_members(user);
	json_object *shown = json_object_new_object();
	json_object *worker = json_object_new_object();
	Text text = {0};

	json_object_object_add(worker, "worker_sid", json_object_get(json_member(members, "worker_sid")));
	json_object_object_add(worker, "workspace_sid", json_object_get(json_member(members, "workspace_sid")));
	for (int i = 0; i < schema->count; i++)
		json_object_object_add(shown, schema->members[i].name,
							   json_object_get(json_member(members, schema->members[i].name)));
	json_object_object_add(shown, "worker", worker);
	json_write(&text, shown);
	text_add_with_base(&request->answer.body, text.data, text.length, request->base);
	text_free(&text);
	json_object_put(shown);
	json_object_put(members);
}

/* Ends a user's time in the instance. */
static void
deprovision(Resource *user)
{
	json_object *members = store_members(user);

	json_object_object_add(members, "deactivated", json_object_new_boolean(true));
	json_object_object_add(members, "deactivated_date", json_object_new_string(date_now()));
	json_object_object_add(members, "updated_date", json_object_new_string(date_now()));
	json_object_object_add(members, "worker_sid", NULL);
	json_object_object_add(members, "version", json_object_new_int64(json_integer_member(members, "version", 0) + 1));
	store_rewrite(user, members);
	json_object_put(members);
}

/* What has to be in the body; false, with the request refused, for what is not. */
static bool
check_body(Request *request, const char *const *names)
{
	for (int i = 0; names[i] != NULL; i++)
		if (json_member(request->json, names[i]) == NULL)
			return refuse(request, 400, 20001, names[i], "Missing required parameter %s", names[i]);
	return true;
}

/* Provisions or deprovisions a user; false where a request is for neither. */
bool
serve_provisioning(Request *request)
{
	static const char *const of_user[] = {"username", "roles", "full_name", "email", "worker", NULL};
	static const char *const of_end[] = {"flex_user_sid", NULL};
	Resource *user;

	if (strcmp(request->route->shape, USERS "/Provision") == 0)
	{
		if (check_body(request, of_user))
			answer_provisioned(request, provision(request, users_of(request)));
		return true;
	}
	if (strcmp(request->route->shape, USERS "/Deprovision") != 0)
		return false;
	if (!check_body(request, of_end))
		return true;
	user = store_find(users_of(request), json_text_member(request->json, "flex_user_sid"));
	if (user != NULL)
		deprovision(user);
	else
		refuse_missing(request);
	return true;
}
