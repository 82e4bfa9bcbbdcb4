/*
 * resources.c
 *	  Makes and changes resources. A new one has every member that its schema
 *	  names, in the documents' order: what the parameters of the same names
 *	  say, what the kind's rule says, SIDs, dates and URLs, and null.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json_text.h"
#include "resources.h"

#define MAX_NAME 64

/* A parameter's value as JSON of the member's type, or else of its own. */
static json_object *
value_of(const Parameter *parameter, const Member *member, const Pair *pair)
{
	ValueType type = parameter->type;
	json_object *value = NULL;

	/* Insights takes numbers and answers strings: offset. */
	if (member != NULL && member->type == TYPE_STRING)
		type = TYPE_STRING;
	switch (type)
	{
		case TYPE_BOOLEAN:
			return json_object_new_boolean(strcmp(pair->value, "true") == 0);
		case TYPE_INTEGER:
			return json_object_new_int64(strtoll(pair->value, NULL, 10));
		case TYPE_NUMBER:
		case TYPE_ANY:
		case TYPE_OBJECT:
			if (json_read(pair->value, pair->length, &value))
				return value;
			break;
		default:
			break;
	}
	return json_object_new_string_len(pair->value, (int) pair->length);
}

/* Sets a member that the schema has; integration.flow_sid within its object. */
static void
set_member(const Kind *kind, json_object *members, const Parameter *parameter, const Pair *pair)
{
	const char *dot = strchr(parameter->member, '.');
	char name[64] = "";
	const Member *member;
	json_object *object;

	strncat(name, parameter->member, dot ? (size_t) (dot - parameter->member) : sizeof(name) - 1);
	member = schema_member(kind->schema, name);
	if (member == NULL || parameter->type == TYPE_ARRAY)
		return;
	if (dot == NULL)
	{
		json_object_object_add(members, name, value_of(parameter, member, pair));
		return;
	}
	object = json_member(members, name);
	if (!json_object_is_type(object, json_type_object))
	{
		object = json_object_new_object();
		json_object_object_add(members, name, object);
	}
	json_object_object_add(object, dot + 1, value_of(parameter, NULL, pair));
}

/* Takes over everything that was sent and that the resource shows. */
static void
set_sent(const Request *request, const Kind *kind, json_object *members)
{
	const Operation *operation = request->operation;

	for (int i = 0; operation != NULL && i < operation->count; i++)
	{
		const Parameter *parameter = &operation->parameters[i];
		const Pair *pair = request_pair(request, parameter->name, false);

		if (parameter->place == PLACE_FORM && pair != NULL)
			set_member(kind, members, parameter, pair);
	}
	if (request->json == NULL)
		return;
	json_object_object_foreach(request->json, name, value)
	{
		const Member *member = schema_member(kind->schema, name);

		/* What names the resource, or is the service's to say, is not for the client. */
		if (member != NULL && member->format == NULL && strcmp(name, kind->sid_member) != 0 &&
			strcmp(name, "account_sid") != 0)
			json_object_object_add(members, name, json_object_get(value));
	}
}

/* Sets what a rule's JSON says; "XX*" makes a new SID of that prefix. */
static void
set_fixed(const Kind *kind, json_object *members)
{
	json_object *fixed;
	char sid[SID_LENGTH + 1];

	if (kind->rule->fixed == NULL)
		return;
	fixed = json_reread(kind->rule->fixed, strlen(kind->rule->fixed));
	json_object_object_foreach(fixed, name, value)
	{
		const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

		if (strlen(text) == 3 && text[2] == '*')
		{
			make_sid(text, sid);
			json_object_object_add(members, name, json_object_new_string(sid));
		}
		else
			json_object_object_add(members, name, json_object_get(value));
	}
	json_object_put(fixed);
}

/* The URL of what lies at a path, to be completed when it is sent. */
static json_object *
marked_url(const char *path, const char *tail)
{
	Text text = {0};
	json_object *url;

	text_printf(&text, "%c%s%s", BASE_URL_MARK, path, tail);
	url = json_object_new_string_len(text.data, (int) text.length);
	text_free(&text);
	return url;
}

/* The links of a resource: one to each kind of collection that it can have. */
static json_object *
make_links(const Kind *kind, const char *path)
{
	json_object *links = json_object_new_object();

	for (int i = 0; i < kinds_count(); i++)
	{
		const Kind *child = kinds_get(i);

		if (child->parent == kind)
			json_object_object_add(links, child->list_key ? child->list_key : child->word,
								   marked_url(path, child->shape + strlen(kind->shape) + 3));
	}
	return links;
}

/* The path of a resource that is yet to be stored. */
static void
write_path(Text *path, const Kind *kind, const Resource *owner, const char *sid)
{
	if (owner != NULL)
		text_printf(path, "%s%s/%s", owner->path, kind->shape + strlen(owner->list->kind->shape) + 3, sid);
	else
		text_printf(path, "%s/%s", kind->shape, sid);
}

/* The SID, by its member's name, of one of the resources that own a list. */
static const char *
owner_sid(const Resource *owner, const char *member)
{
	for (; owner != NULL; owner = owner->list->owner)
	{
		size_t length = strlen(owner->list->kind->word);

		/* /Channels/UO.. is shown as channel_sid, /Interactions/KD.. as interaction_sid */
		if (strncmp(member, owner->list->kind->word, length - 1) == 0 && strcmp(member + length - 1, "_sid") == 0)
			return owner->sid;
	}
	return NULL;
}

/* What a member has before anything was sent for it. */
static json_object *
initial_value(const Account *account, const Kind *kind, const Resource *owner, const char *sid, const char *path,
			  const Member *member)
{
	const char *name = member->name;
	const char *of_owner = owner_sid(owner, name);

	if (strcmp(name, kind->sid_member) == 0)
		return json_object_new_string(sid);
	if (strcmp(name, "account_sid") == 0)
		return json_object_new_string(account->sid);
	if (of_owner != NULL)
		return json_object_new_string(of_owner);
	if (strcmp(name, "url") == 0)
		return marked_url(path, "");
	if (member->format != NULL && strcmp(member->format, "date-time") == 0)
		return json_object_new_string(date_now());
	if (member->format != NULL && strcmp(member->format, "uri-map") == 0)
		return make_links(kind, path);
	return NULL;
}

/* Every member of a new resource before anything was sent; the caller owns it. */
json_object *
resource_blank(Account *account, const Kind *kind, Resource *owner, const char *sid)
{
	json_object *members = json_object_new_object();
	Text path = {0};

	write_path(&path, kind, owner, sid);
	for (int i = 0; kind->schema != NULL && i < kind->schema->count; i++)
		json_object_object_add(members, kind->schema->members[i].name,
							   initial_value(account, kind, owner, sid, path.data, &kind->schema->members[i]));
	set_fixed(kind, members);
	text_free(&path);
	return members;
}

/* Makes the name of a new resource: a SID, or where the rule says so, something longer. */
static void
make_name(const Kind *kind, char *name)
{
	char sid[SID_LENGTH + 1];

	make_sid(kind->sid_prefix[0] ? kind->sid_prefix : "XX", sid);
	if (kind->rule->name_prefix != NULL)
		snprintf(name, MAX_NAME, "%s%.26s", kind->rule->name_prefix, sid + 2);
	else
		memcpy(name, sid, sizeof(sid));
}

/* Makes and stores a resource; NULL if the request is refused. */
Resource *
resource_create(Request *request, const Kind *kind, Resource *owner)
{
	const Rule *rule = kind->rule;
	char name[MAX_NAME];
	Change change = {.request = request, .kind = kind, .owner = owner};
	const char *sid;
	const char *alias;

	make_name(kind, name);
	change.members = resource_blank(request->account, kind, owner, name);
	set_sent(request, kind, change.members);
	if (rule->before_create == NULL || rule->before_create(&change))
	{
		/* A member of a team has the name that it was sent by. */
		sid = rule->named_by_client ? json_text_member(change.members, kind->sid_member) : name;
		alias = rule->alias ? json_text_member(change.members, rule->alias) : NULL;
		change.resource = store_add(store_list(request->account, kind, owner), sid, alias, change.members);
		if (rule->after_create != NULL)
			rule->after_create(&change);
	}
	json_object_put(change.members);
	return change.resource;
}

/* Changes a resource as the request asks; false if it is refused. */
bool
resource_update(Request *request, Resource *resource)
{
	const Kind *kind = resource->list->kind;
	Change change = {.request = request, .kind = kind, .owner = resource->list->owner, .resource = resource};
	bool done;

	change.members = store_members(resource);
	set_sent(request, kind, change.members);
	if (schema_member(kind->schema, "date_updated") != NULL)
		json_object_object_add(change.members, "date_updated", json_object_new_string(date_now()));
	if (schema_member(kind->schema, "updated_date") != NULL)
		json_object_object_add(change.members, "updated_date", json_object_new_string(date_now()));
	done = kind->rule->before_update == NULL || kind->rule->before_update(&change);
	if (done)
		store_rewrite(resource, change.members);
	if (done && kind->rule->after_update != NULL)
		kind->rule->after_update(&change);
	json_object_put(change.members);
	return done;
}

/*
 * The resource that the request's path names, made if nobody asked for it
 * before: its kind is managed elsewhere, and here any of them exists.
 */
Resource *
resource_on_demand(Request *request, const Kind *kind)
{
	const Route *route = request->route;
	List *list = store_list(request->account, kind, NULL);
	const char *sid = request->values[route->values - 1];
	Resource *resource = store_find(list, sid);
	json_object *members;

	if (resource != NULL)
		return resource;
	members = resource_blank(request->account, kind, NULL, sid);
	for (int i = 0; i < route->values; i++)
		if (schema_member(kind->schema, route->value_names[i]) != NULL)
			json_object_object_add(members, route->value_names[i], json_object_new_string(request->values[i]));
	json_object_object_add(members, "url", marked_url(request->path, ""));
	resource = store_add(list, sid, NULL, members);
	json_object_put(members);
	return resource;
}
