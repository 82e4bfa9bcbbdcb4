/*
 * store.h
 *	  What the service would have in its database: resources in lists, a list
 *	  standing on its own in an account (channels) or belonging to a resource (the
 *	  participants of a channel).
 */
#ifndef SIMULATOR_STORE_H
#define SIMULATOR_STORE_H

#include <json-c/json.h>
#include <stdint.h>

#include "accounts.h"
#include "identifiers.h"
#include "kinds.h"

/* One resource; its JSON is kept as text, ready to be sent. */
typedef struct Resource
{
	struct List *list;
	struct List *children; /* its own lists, chained */
	uint64_t serial;       /* the order of making */
	char *sid;
	char *alias; /* a second name in the path, or NULL */
	char *path;  /* without the base URL */
	char *text;  /* JSON, with marks for the base URL */
	size_t length;
	int64_t due_us; /* when its setup ends, or 0 */
	bool fails;     /* how it ends */
	struct Resource *next_by_sid;
	struct Resource *next_by_alias;
} Resource;

typedef struct Slot
{
	uint64_t serial;
	Resource *resource; /* NULL once deleted */
} Slot;

typedef struct List
{
	Account *account;
	const Kind *kind;
	Resource *owner;   /* NULL for a list of its own */
	struct List *next; /* of the same owner */
	Slot *slots;       /* by serial */
	size_t count;      /* of slots, deleted ones included */
	size_t room;
	size_t dead;
} List;

extern void store_open(Account *account);
extern void store_empty(List *list);
extern void store_clear(Account *account);
extern List *store_list(Account *account, const Kind *kind, Resource *owner);
extern Resource *store_find(List *list, const char *name);
extern Resource *store_find_owner(List *list, const char *name);
extern Resource *store_add(List *list, const char *sid, const char *alias, json_object *members);
extern void store_rewrite(Resource *resource, json_object *members);
extern json_object *store_members(const Resource *resource);
extern void store_delete(Resource *resource);
extern size_t store_first_after(const List *list, uint64_t serial);

#endif
