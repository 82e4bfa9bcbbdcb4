/*
 * store.c
 *	  Resources in lists, found by SID or alias through one hash table.
 *
 * A deleted row leaves an empty slot behind, and a list is packed when most
 * of its slots are empty: deleting 100,000 rows one by one stays linear, and
 * a page token (a serial) stays valid whatever is deleted meanwhile.
 */
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "store.h"
#include "text.h"

static Resource **by_sid;
static Resource **by_alias;
static size_t buckets;
static size_t live;
static uint64_t last_serial;

/* FNV-1a over list and name: the same SID may be known in two lists. */
static size_t
bucket_of(const List *list, const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t) (uintptr_t) list;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char) *name) * UINT64_C(0x100000001b3);
	return (size_t) mix_bits(hash) & (buckets - 1);
}

/* Puts a resource into its chains. */
static void
link_resource(Resource *resource)
{
	size_t bucket = bucket_of(resource->list, resource->sid);

	resource->next_by_sid = by_sid[bucket];
	by_sid[bucket] = resource;
	if (resource->alias == NULL)
		return;
	bucket = bucket_of(resource->list, resource->alias);
	resource->next_by_alias = by_alias[bucket];
	by_alias[bucket] = resource;
}

/* Doubles the hash table. */
static void
grow_table(void)
{
	size_t old_buckets = buckets;
	Resource **old = by_sid;

	buckets = old_buckets ? old_buckets * 2 : 1024;
	free(by_alias);
	by_sid = calloc(buckets, sizeof(Resource *));
	by_alias = calloc(buckets, sizeof(Resource *));
	for (size_t i = 0; i < old_buckets; i++)
		for (Resource *resource = old[i], *next; resource != NULL; resource = next)
		{
			next = resource->next_by_sid;
			link_resource(resource);
		}
	free(old);
}

/* Takes a resource out of its chains. */
static void
unlink_resource(Resource *resource)
{
	Resource **link = &by_sid[bucket_of(resource->list, resource->sid)];

	while (*link != resource)
		link = &(*link)->next_by_sid;
	*link = resource->next_by_sid;
	if (resource->alias == NULL)
		return;
	link = &by_alias[bucket_of(resource->list, resource->alias)];
	while (*link != resource)
		link = &(*link)->next_by_alias;
	*link = resource->next_by_alias;
}

/* Gives a new account its empty lists; the kinds were derived before. */
void
store_open(Account *account)
{
	account->roots = calloc((size_t) kinds_count() + 1, sizeof(List));
	for (int i = 0; i < kinds_count(); i++)
	{
		account->roots[i].account = account;
		account->roots[i].kind = kinds_get(i);
	}
	if (buckets == 0)
		grow_table();
}

/* The account's list of that kind on its own, or the one that the owner has; made if need be. */
List *
store_list(Account *account, const Kind *kind, Resource *owner)
{
	List *list;

	if (owner == NULL)
		return &account->roots[kind->number];
	for (list = owner->children; list != NULL; list = list->next)
		if (list->kind == kind)
			return list;
	list = calloc(1, sizeof(List));
	list->account = account;
	list->kind = kind;
	list->owner = owner;
	list->next = owner->children;
	owner->children = list;
	return list;
}

/* The resource that goes by that name, SID or alias, in the list; or NULL. */
Resource *
store_find(List *list, const char *name)
{
	size_t bucket = bucket_of(list, name);
	Resource *resource = by_sid[bucket];

	while (resource != NULL && (resource->list != list || strcmp(resource->sid, name) != 0))
		resource = resource->next_by_sid;
	if (resource != NULL)
		return resource;
	resource = by_alias[bucket];
	while (resource != NULL && (resource->list != list || strcmp(resource->alias, name) != 0))
		resource = resource->next_by_alias;
	return resource;
}

/* The path of a resource: its list's path, then its SID. */
static char *
path_of(const List *list, const char *sid)
{
	Text path = {0};

	/* A child's shape is its owner's, then /{}, and then what is its own. */
	if (list->owner != NULL)
		text_printf(&path, "%s%s", list->owner->path,
					list->kind->shape + strlen(list->owner->list->kind->shape) + strlen("/{}"));
	else
		text_add_string(&path, list->kind->shape);
	text_printf(&path, "/%s", sid);
	return text_take(&path);
}

/* Adds a resource at the end of a list. The members stay the caller's. */
Resource *
store_add(List *list, const char *sid, const char *alias, json_object *members)
{
	Resource *resource = calloc(1, sizeof(Resource));

	resource->list = list;
	resource->serial = ++last_serial;
	resource->sid = must_copy(sid);
	resource->alias = alias ? must_copy(alias) : NULL;
	resource->path = path_of(list, sid);
	store_rewrite(resource, members);
	if (list->count == list->room)
	{
		list->room = list->room ? list->room * 2 : 4;
		list->slots = must_resize(list->slots, list->room * sizeof(Slot));
	}
	list->slots[list->count++] = (Slot){resource->serial, resource};
	if (++live > buckets)
		grow_table();
	link_resource(resource);
	return resource;
}

/* The resource that owns a collection, by its name: any there is, where the kind is anonymous; or NULL. */
Resource *
store_find_owner(List *list, const char *name)
{
	Resource *resource = store_find(list, name);
	json_object *nothing;

	if (resource != NULL || !list->kind->anonymous)
		return resource;
	nothing = json_object_new_object();
	resource = store_add(list, name, NULL, nothing);
	json_object_put(nothing);
	return resource;
}

/* Replaces a resource's JSON. The members stay the caller's. */
void
store_rewrite(Resource *resource, json_object *members)
{
	Text text = {0};

	json_write(&text, members);
	free(resource->text);
	resource->length = text.length;
	resource->text = text_take(&text);
}

/* A resource's JSON as an object that the caller owns. */
json_object *
store_members(const Resource *resource)
{
	return json_reread(resource->text, resource->length);
}

/* The first slot whose serial is greater. */
size_t
store_first_after(const List *list, uint64_t serial)
{
	size_t low = 0;
	size_t high = list->count;

	while (low < high)
	{
		size_t middle = low + (high - low) / 2;

		if (list->slots[middle].serial <= serial)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Drops the empty slots once most are empty. */
static void
pack_list(List *list)
{
	size_t kept = 0;

	if (list->dead < 64 || list->dead * 2 < list->count)
		return;
	for (size_t i = 0; i < list->count; i++)
		if (list->slots[i].resource != NULL)
			list->slots[kept++] = list->slots[i];
	list->count = kept;
	list->dead = 0;
}

/* Frees a resource and everything below it; its slot is the caller's business. */
static void
free_resource(Resource *resource)
{
	List *list = resource->children;

	while (list != NULL)
	{
		List *next = list->next;

		for (size_t i = 0; i < list->count; i++)
			if (list->slots[i].resource != NULL)
				free_resource(list->slots[i].resource);
		free(list->slots);
		free(list);
		list = next;
	}
	unlink_resource(resource);
	live--;
	free(resource->sid);
	free(resource->alias);
	free(resource->path);
	free(resource->text);
	free(resource);
}

/* Deletes a resource and everything below it. */
void
store_delete(Resource *resource)
{
	List *list = resource->list;
	size_t place = store_first_after(list, resource->serial - 1);

	list->slots[place].resource = NULL;
	list->dead++;
	free_resource(resource);
	pack_list(list);
}

/* Deletes all rows of a list. */
void
store_empty(List *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->slots[i].resource != NULL)
			free_resource(list->slots[i].resource);
	free(list->slots);
	list->slots = NULL;
	list->count = list->room = list->dead = 0;
}

/* Deletes everything that an account has. */
void
store_clear(Account *account)
{
	for (int i = 0; i < kinds_count(); i++)
		store_empty(&account->roots[i]);
}
