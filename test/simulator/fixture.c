/*
 * fixture.c
 *	  Loads what an account has from an object that maps paths to what is
 *	  there: an array for the rows of a collection, an object for a document.
 *	  samples.json is one, and so is what --load reads and --save writes.
 *
 * Rows are checked against the documents' schemas. What a row does not say is
 * filled in as if the resource had just been made.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "documents.h"
#include "fixture.h"
#include "json_text.h"
#include "options.h"
#include "resources.h"
#include "rules.h"
#include "schema_check.h"

/* Whether a path belongs to a collection of that shape; the values' places and lengths are noted. */
static bool
fits_shape(const char *path, const char *shape, const char **values, size_t *lengths)
{
	int count = 0;

	while (*shape != '\0')
	{
		if (strncmp(shape, "{}", 2) == 0)
		{
			if (count == MAX_SEGMENTS || (lengths[count] = strcspn(path, "/")) == 0)
				return false;
			values[count] = path;
			path += lengths[count++];
			shape += 2;
		}
		else if (*path++ != *shape++)
			return false;
	}
	return *path == '\0';
}

/* Walks down to the resource that owns a collection; NULL if one on the way is missing. */
static Resource *
find_owner(Account *account, const Kind *kind, const char **values, const size_t *lengths)
{
	const Kind *chain[MAX_SEGMENTS];
	Resource *owner = NULL;
	int depth = 0;

	for (const Kind *parent = kind->parent; parent != NULL; parent = parent->parent)
		chain[depth++] = parent;
	for (int value = 0; depth > 0; value++)
	{
		char name[512];

		/* The collection's path has a value for each that it is in. */
		assert(values[value] != NULL);
		if (lengths[value] >= sizeof(name))
			return NULL;
		memcpy(name, values[value], lengths[value]);
		name[lengths[value]] = '\0';
		owner = store_find_owner(store_list(account, chain[--depth], owner), name);
		if (owner == NULL)
			return NULL;
	}
	return owner;
}

/* The list that a path names; NULL, with the problem, if there is none. */
List *
fixture_list(Account *account, const char *path, Problem *problem)
{
	const char *values[MAX_SEGMENTS] = {NULL};
	size_t lengths[MAX_SEGMENTS] = {0};
	const Kind *kind = kinds_of_shape(path);
	Resource *owner = NULL;

	if (kind != NULL)
		return store_list(account, kind, NULL);
	for (int i = 0; i < kinds_count(); i++)
		if (kinds_get(i)->parent != NULL && fits_shape(path, kinds_get(i)->shape, values, lengths))
		{
			kind = kinds_get(i);
			owner = find_owner(account, kind, values, lengths);
		}
	if (owner != NULL)
		return store_list(account, kind, owner);
	problem_note(problem, "",
				 kind ? "there is no resource at this path that could have it"
					  : "the documents have no such collection");
	return NULL;
}

/* The name by which a row is found: its SID, or an id of another name (segment_id); NULL for none. */
static const char *
row_sid(const Kind *kind, json_object *row)
{
	const char *sid = json_text_member(row, kind->sid_member);

	json_object_object_foreach(row, name, value)
	{
		size_t length = strlen(name);

		if (sid == NULL && length > 3 && strcmp(name + length - 3, "_id") == 0 &&
			strncmp(name, kind->word, length - 3) == 0)
			sid = json_object_get_string(value);
	}
	return sid;
}

/* Takes a row's members over what a new resource has. Links are the simulator's to say, and so is the account. */
static void
overlay(const Kind *kind, json_object *members, json_object *row)
{
	json_object_object_foreach(row, name, value)
	{
		const Member *member = schema_member(kind->schema, name);
		const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
		Text url = {0};

		if (strcmp(name, "account_sid") == 0 ||
			(member != NULL && member->format != NULL && strcmp(member->format, "uri-map") == 0))
			continue;
		if (strcmp(name, "url") != 0)
			json_object_object_add(members, name, json_object_get(value));
		else if (kind->managed_elsewhere && strncmp(text, PUBLIC_ORIGIN "/", sizeof(PUBLIC_ORIGIN)) == 0)
		{
			text_printf(&url, "%c%s", BASE_URL_MARK, text + strlen(PUBLIC_ORIGIN));
			json_object_object_add(members, name, json_object_new_string_len(url.data, (int) url.length));
			text_free(&url);
		}
	}
}

/* Adds one row to a list. */
static bool
load_row(List *list, json_object *row, Problem *problem)
{
	const Kind *kind = list->kind;
	char made[SID_LENGTH + 1];
	const char *sid;
	const char *alias;
	json_object *members;
	Resource *resource;

	if (!check_members(kind->schema, row, problem))
		return false;
	sid = row_sid(kind, row);
	if (sid == NULL)
	{
		make_sid(kind->sid_prefix[0] ? kind->sid_prefix : "XX", made);
		sid = made;
	}
	alias = kind->rule->alias ? json_text_member(row, kind->rule->alias) : NULL;
	if (store_find(list, sid) != NULL)
		return problem_note(problem, kind->sid_member, "another row is \"%.100s\", too", sid);
	if (alias != NULL && store_find(list, alias) != NULL)
		return problem_note(problem, kind->rule->alias, "another row is \"%.100s\", too", alias);
	members = resource_blank(list->account, kind, list->owner, sid);
	overlay(kind, members, row);
	resource = store_add(list, sid, alias, members);
	if (strcmp(kind->shape, "/v1/Interactions/{}/Channels") == 0 &&
		strcmp(json_text_member(members, "status") ? json_text_member(members, "status") : "", "setup") == 0)
		resource->due_us = clock_us() + options.setup_ms * 1000;
	json_object_put(members);
	return true;
}

/* Puts rows in the place of all that a collection has. */
static bool
load_rows(Account *account, const char *path, json_object *rows, Problem *problem)
{
	List *list = fixture_list(account, path, problem);

	if (list == NULL)
		return false;
	store_empty(list);
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		if (!load_row(list, json_object_array_get_idx(rows, i), problem))
		{
			problem_within(problem, "[%zu]", i);
			return false;
		}
	return true;
}

/* The schema of the document at a path; NULL, with the problem, if there is no such document. */
static const Schema *
document_schema(const char *path, Problem *problem)
{
	for (int i = 0; i < facts_route_count(); i++)
	{
		const Route *route = &facts_routes()[i];

		for (int j = 0; route->kind == NULL && strcmp(route->shape, path) == 0 && j < METHOD_COUNT; j++)
			if (route->operations[j] != NULL && route->operations[j]->schema != NULL)
				return route->operations[j]->schema;
	}
	problem_note(problem, "", "the documents have no single object at this path");
	return NULL;
}

/* Loads a document: what it does not say is null, unless it belongs to the account or says where it is. */
static bool
load_document(Account *account, const char *path, json_object *document, Problem *problem)
{
	const Schema *schema = document_schema(path, problem);
	json_object *members;
	Text url = {0};

	if (schema == NULL || !check_members(schema, document, problem))
		return false;
	members = json_object_new_object();
	text_printf(&url, "%c%s", BASE_URL_MARK, path);
	for (int i = 0; i < schema->count; i++)
	{
		const char *name = schema->members[i].name;

		if (strcmp(name, "account_sid") == 0)
			json_object_object_add(members, name, json_object_new_string(account->sid));
		else if (strcmp(name, "url") == 0)
			json_object_object_add(members, name, json_object_new_string_len(url.data, (int) url.length));
		else
			json_object_object_add(members, name, json_object_get(json_member(document, name)));
	}
	document_replace(account, path, members);
	json_object_put(members);
	text_free(&url);
	return true;
}

/* Loads what is at one path. */
static bool
load_path(Account *account, const char *path, json_object *content, Problem *problem)
{
	if (json_object_is_type(content, json_type_array))
		return load_rows(account, path, content, problem);
	if (json_object_is_type(content, json_type_object))
		return load_document(account, path, content, problem);
	return problem_note(problem, "", "must be an array of rows, or an object");
}

/* How many slashes a path has: owners have fewer than what they own. */
static int
depth_of(const char *path)
{
	int depth = 0;

	for (; *path != '\0'; path++)
		depth += *path == '/';
	return depth;
}

/*
 * Puts what the paths name in the place of what is there, owners first; false,
 * with the problem and what came before it loaded, where something is wrong.
 */
bool
fixture_load(Account *account, json_object *paths, Problem *problem)
{
	int deepest = 0;

	if (!json_object_is_type(paths, json_type_object))
		return problem_note(problem, "", "must be an object of paths");
	json_object_object_foreach(paths, any_path, unused)
	{
		(void) unused;
		if (depth_of(any_path) > deepest)
			deepest = depth_of(any_path);
	}
	for (int depth = 0; depth <= deepest; depth++)
	{
		json_object_object_foreach(paths, path, content)
		{
			if (depth_of(path) != depth || load_path(account, path, content, problem))
				continue;
			problem_within(problem, "%s", path);
			return false;
		}
	}
	return true;
}
