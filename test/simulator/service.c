/*
 * service.c
 *	  Carries out one request of the API: what it is for follows from its
 *	  method and from whether its path names a collection, one resource, the
 *	  archiving of one, or a document.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "agenda.h"
#include "checks.h"
#include "deliveries.h"
#include "documents.h"
#include "effects.h"
#include "interactions.h"
#include "json_text.h"
#include "limits.h"
#include "list.h"
#include "rates.h"
#include "resources.h"
#include "scripts.h"
#include "service.h"
#include "state.h"
#include "webhooks.h"

/* Forgets everything that was made. */
void
service_reset(void)
{
	state_reset();
	agenda_clear();
	scripts_clear();
	webhooks_clear();
	deliveries_clear();
	clock_reset();
	rates_reset();
	limits_clear();
	limits_forget_seconds();
}

/*
 * Walks the path down to the owner of the collection that it is about; sets
 * *owner to NULL for a collection of its own. False if one is missing.
 */
static bool
find_owner(Request *request, const Kind *kind, Resource **owner)
{
	const Kind *chain[MAX_SEGMENTS];
	int depth = 0;

	for (const Kind *parent = kind->parent; parent != NULL; parent = parent->parent)
		chain[depth++] = parent;
	*owner = NULL;
	for (int value = 0; depth > 0; value++)
	{
		*owner = store_find_owner(store_list(request->account, chain[--depth], *owner), request->values[value]);
		if (*owner == NULL)
			return refuse_missing(request);
	}
	return true;
}

/* The resource that the path names, or NULL, with the request refused. */
static Resource *
find_resource(Request *request, const Kind *kind)
{
	Resource *owner;
	Resource *resource;
	List *list;
	const char *name = request->values[request->route->values - 1];

	if (kind->managed_elsewhere)
		return resource_on_demand(request, kind);
	if (!find_owner(request, kind, &owner))
		return NULL;
	list = store_list(request->account, kind, owner);
	resource = store_find(list, name);
	/* "active" is the last release that was made. */
	if (resource == NULL && kind->rule->alias && strcmp(kind->rule->alias, name) == 0)
		for (size_t i = list->count; resource == NULL && i-- > 0;)
			resource = list->slots[i].resource;
	if (resource == NULL)
		refuse_missing(request);
	else
		settle_setup(resource);
	return resource;
}

/* Answers with a resource. */
static void
answer_resource(Request *request, const Resource *resource)
{
	text_add_with_base(&request->answer.body, resource->text, resource->length, request->base);
}

/* Archives a resource; the answer's URL is that of the archiving. */
static void
archive(Request *request, Resource *resource)
{
	json_object *members = store_members(resource);
	Text text = {0};
	Text url = {0};

	json_object_object_add(members, "archived", json_object_new_boolean(true));
	if (schema_member(resource->list->kind->schema, "date_updated") != NULL)
		json_object_object_add(members, "date_updated", json_object_new_string(date_now()));
	store_rewrite(resource, members);
	text_printf(&url, "%c%s/Archive", BASE_URL_MARK, resource->path);
	json_object_object_add(members, "url", json_object_new_string_len(url.data, (int) url.length));
	/* The archived form shows fewer members than the resource. */
	for (int i = 0; i < resource->list->kind->schema->count; i++)
		if (schema_member(request->operation->schema, resource->list->kind->schema->members[i].name) == NULL)
			json_object_object_del(members, resource->list->kind->schema->members[i].name);
	json_write(&text, members);
	text_add_with_base(&request->answer.body, text.data, text.length, request->base);
	text_free(&url);
	text_free(&text);
	json_object_put(members);
}

/* Merges the members sent into a document, which must name the account. */
static bool
merge_document(Request *request, json_object *members)
{
	const char *account = json_text_member(request->json, "account_sid");

	if (account == NULL || strcmp(account, request->account->sid) != 0)
		return refuse(request, 400, 45101, "account_sid", "account_sid must be the SID of the account");
	json_object_object_foreach(request->json, name, value)
	{
		const Member *member = schema_member(request->operation->schema, name);

		if (member == NULL)
			return refuse(request, 400, 45101, name, "Unknown property %.100s", name);
		if (member->format == NULL && strcmp(name, "account_sid") != 0)
			json_object_object_add(members, name, json_object_get(value));
	}
	json_object_object_add(members, "date_updated", json_object_new_string(date_now()));
	document_replace(request->account, request->path, members);
	return true;
}

/* Fetches or changes a document. */
static void
serve_document(Request *request)
{
	json_object *members = document_members(request->account, request->route->shape);
	Text text = {0};

	if (members == NULL)
	{
		refuse_missing(request);
		return;
	}
	if (request->json == NULL || merge_document(request, members))
	{
		json_write(&text, members);
		text_add_with_base(&request->answer.body, text.data, text.length, request->base);
		text_free(&text);
	}
	json_object_put(members);
}

/* Lists a collection or adds to it. */
static void
serve_collection(Request *request, const Kind *kind)
{
	Resource *owner;
	Resource *made;

	if (kind->rule->same_as != NULL)
		kind = kinds_of_shape(kind->rule->same_as);
	if (!find_owner(request, kind, &owner))
		return;
	if (request->operation->method == METHOD_GET)
		answer_page(request, store_list(request->account, kind, owner));
	else if ((made = resource_create(request, kind, owner)) != NULL)
		answer_resource(request, made);
}

/* Fetches, changes, archives or deletes one resource. */
static void
serve_resource(Request *request, const Kind *kind)
{
	Resource *resource = find_resource(request, kind);

	if (resource == NULL)
		return;
	if (request->operation->method == METHOD_DELETE)
		store_delete(resource);
	else if (request->route->archive)
		archive(request, resource);
	else if (request->operation->method == METHOD_GET || resource_update(request, resource))
		answer_resource(request, resource);
}

/* Carries the request out, or refuses it; its answer is ready afterwards. */
void
serve(Request *request)
{
	if (!check_request(request) || !check_limit(request) || !check_rate(request))
		return;
	request->answer.status = request->operation->success;
	if (serve_provisioning(request))
		;
	else if (request->route->kind == NULL)
		serve_document(request);
	else if (request->route->collection)
		serve_collection(request, request->route->kind);
	else
		serve_resource(request, request->route->kind);
	if (request->answer.status == 204)
		request->answer.content_type = NULL;
}
