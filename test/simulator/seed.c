/*
 * seed.c
 *	  Fills collections with plausible rows: every member that would come
 *	  from a client gets a value of its type, different in each row where a
 *	  person would choose it.
 */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "json_text.h"
#include "resources.h"
#include "seed.h"

/* The flow that seeded chats belong to: the first there is, or a new one. */
static const char *
some_flow(Account *account)
{
	const Kind *kind = kinds_of_shape("/v1/FlexFlows");
	List *flows = store_list(account, kind, NULL);

	for (size_t i = 0; i < flows->count; i++)
		if (flows->slots[i].resource != NULL)
			return flows->slots[i].resource->sid;
	seed_rows(account, kind, 1);
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

/* Adds so many rows to a collection of its own. */
void
seed_rows(Account *account, const Kind *kind, long long count)
{
	List *list = store_list(account, kind, NULL);
	char sid[SID_LENGTH + 1];

	for (long long row = 1; row <= count; row++)
	{
		json_object *members;

		make_sid(kind->sid_prefix[0] ? kind->sid_prefix : "XX", sid);
		members = resource_blank(account, kind, NULL, sid);
		for (int i = 0; kind->schema != NULL && i < kind->schema->count; i++)
		{
			const Member *member = &kind->schema->members[i];

			if (json_member(members, member->name) == NULL)
				json_object_object_add(members, member->name, plausible_value(account, member, row));
		}
		store_add(list, sid, kind->rule->alias ? json_text_member(members, kind->rule->alias) : NULL, members);
		json_object_put(members);
	}
}
