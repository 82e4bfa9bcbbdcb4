/*
 * seed.c
 *	  Fills collections with plausible rows: every member that would come
 *	  from a client gets a value of its type, different in each row where a
 *	  person would choose it.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "json_text.h"
#include "resources.h"
#include "seed.h"

/* At a time; memory is what bounds them. */
#define MAX_ROWS 10000000

static void seed_list(List *list, int64_t count);

/* The flow that seeded chats belong to: the first there is, or a new one. */
static const char *
some_flow(Account *account)
{
	const Kind *kind = kinds_of_shape("/v1/FlexFlows");
	List *flows = store_list(account, kind, NULL);

	for (size_t i = 0; i < flows->count; i++)
		if (flows->slots[i].resource != NULL)
			return flows->slots[i].resource->sid;
	seed_list(flows, 1);
	return flows->slots[flows->count - 1].resource->sid;
}

/* A value for a member that nobody gave one. */
static json_object *
plausible_value(Account *account, const Member *member, long long row)
{
	char text[160];

	if (strcmp(member->name, "flex_flow_sid") == 0)
		return json_object_new_string(some_flow(account));
	if (member->choices != NULL)
		return json_object_new_string_len(member->choices, (int) strcspn(member->choices, "|"));
	if (member->pattern != NULL && member->pattern[0] == '^')
	{
		make_sid(member->pattern + 1, text);
		return json_object_new_string(text);
	}
	if (member->type == TYPE_BOOLEAN)
		return json_object_new_boolean(false);
	if (member->type == TYPE_INTEGER)
		return json_object_new_int64(row);
	if (member->type != TYPE_STRING)
		return NULL;
	snprintf(text, sizeof(text), "%.100s %lld", member->name, row);
	return json_object_new_string(text);
}

/* Adds so many rows to a list. Numbers go on where the list ends, so that what must be unique is. */
static void
seed_list(List *list, int64_t count)
{
	const Kind *kind = list->kind;
	int64_t first = (int64_t) list->count + 1;
	char sid[SID_LENGTH + 1];

	for (int64_t row = first; row < first + count; row++)
	{
		json_object *members;

		make_sid(kind->sid_prefix[0] ? kind->sid_prefix : "XX", sid);
		members = resource_blank(list->account, kind, list->owner, sid);
		for (int i = 0; kind->schema != NULL && i < kind->schema->count; i++)
		{
			const Member *member = &kind->schema->members[i];

			if (json_member(members, member->name) == NULL)
				json_object_object_add(members, member->name, plausible_value(list->account, member, row));
		}
		store_add(list, sid, kind->rule->alias ? json_text_member(members, kind->rule->alias) : NULL, members);
		json_object_put(members);
	}
}

/* Adds so many rows to each list of a kind that the resources of its parent's lists have. */
static size_t
seed_owned(Account *account, const Kind *kind, Resource *owner, const Kind *owners, int64_t count)
{
	List *list = store_list(account, owners, owner);
	size_t rows = 0;

	if (owners == kind)
	{
		seed_list(list, count);
		return list->count - list->dead;
	}
	/* The list of the next kind on the way down. */
	for (const Kind *next = kind; next != owners; next = next->parent)
		if (next->parent == owners)
			for (size_t i = 0; i < list->count; i++)
				if (list->slots[i].resource != NULL)
					rows += seed_owned(account, kind, list->slots[i].resource, next, count);
	return rows;
}

/*
 * Adds so many rows to a collection that goes by that name: one of its own, one
 * that all resources of a kind have (/v1/PluginService/Plugins/{}/Versions), or
 * one that a single resource has (/v1/Interactions/KD../Channels). Says how many
 * rows there are then; false, with the problem, if there is no such collection.
 */
bool
seed_collection(Account *account, const char *name, json_object *count, size_t *rows, Problem *problem)
{
	const Kind *kind = kinds_named(name);
	const Kind *topmost = kind;
	int64_t wanted = json_object_get_int64(count);
	List *list;

	if (!json_object_is_type(count, json_type_int) || wanted < 0 || wanted > MAX_ROWS)
		return problem_note(problem, name, "must be a number of rows from 0 to %d", MAX_ROWS);
	while (topmost != NULL && topmost->parent != NULL)
		topmost = topmost->parent;
	if (kind != NULL)
	{
		*rows = seed_owned(account, kind, NULL, topmost, wanted);
		return true;
	}
	list = name[0] == '/' ? fixture_list(account, name, problem) : NULL;
	if (list == NULL)
		return problem_note(problem, name, "no such collection");
	seed_list(list, wanted);
	*rows = list->count - list->dead;
	return true;
}
