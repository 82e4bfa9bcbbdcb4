/*
 * kinds.c
 *	  Derives the kinds of resources from the routes, so that an operation
 *	  added to the facts has its collection without any C: the schema's SID
 *	  member says with which prefix its resources are made, and the paths say
 *	  which kind owns which.
 */
#include <stdlib.h>
#include <string.h>

#include "kinds.h"
#include "rules.h"
#include "text.h"

static Kind *kinds;
static int kind_count;

/* The route of that shape (the first length bytes of it), or NULL. */
static Route *
route_of_shape(const char *shape, size_t length)
{
	for (int i = 0; i < facts_route_count(); i++)
	{
		Route *route = &facts_routes()[i];

		if (strlen(route->shape) == length && memcmp(route->shape, shape, length) == 0)
			return route;
	}
	return NULL;
}

/* The kind whose collection's path is that shape, or NULL. */
const Kind *
kinds_of_shape(const char *shape)
{
	for (int i = 0; i < kind_count; i++)
		if (strcmp(kinds[i].shape, shape) == 0)
			return &kinds[i];
	return NULL;
}

/* Whether a route's path holds a collection, and not one document. */
static bool
holds_collection(const Route *route)
{
	const Operation *get = route->operations[METHOD_GET];
	const Operation *post = route->operations[METHOD_POST];
	Text item = {0};
	bool has_items;

	if (route->segments[route->count - 1] == NULL || strcmp(route->segments[route->count - 1], "Archive") == 0)
		return false;
	text_printf(&item, "%s/{}", route->shape);
	has_items = route_of_shape(item.data, item.length) != NULL;
	text_free(&item);
	return has_items || (get && get->list_key) || (post && post->body == BODY_FORM);
}

/* The shape without so many bytes at its end; the caller frees it. */
static char *
shape_without(const char *shape, size_t tail)
{
	char *copy = must_copy(shape);

	copy[strlen(copy) - tail] = '\0';
	return copy;
}

/* The kind whose collection's shape is that one without its tail; added if new. */
static Kind *
add_kind(const char *whole, size_t tail)
{
	char *shape = shape_without(whole, tail);
	Kind *kind = (Kind *) kinds_of_shape(shape);

	if (kind != NULL)
	{
		free(shape);
		return kind;
	}
	kind = &kinds[kind_count];
	kind->number = kind_count++;
	kind->managed_elsewhere = true;
	kind->shape = shape;
	kind->word = snake_case(strrchr(shape, '/') + 1);
	kind->rule = rules_for(shape);
	kind->sid_member = kind->rule->sid_member;
	return kind;
}

/* Tells a route which kind it is about, and the kind what the route knows. */
static void
assign_kind(Route *route)
{
	size_t length = strlen(route->shape);
	Kind *kind = NULL;

	if (length > 11 && strcmp(route->shape + length - 11, "/{}/Archive") == 0)
	{
		kind = add_kind(route->shape, 11);
		route->archive = true;
	}
	else if (strcmp(route->shape + length - 3, "/{}") == 0)
	{
		kind = add_kind(route->shape, 3);
		if (kind->sid_member == NULL)
			kind->sid_member = route->value_names[route->values - 1];
	}
	else if (holds_collection(route))
	{
		kind = add_kind(route->shape, 0);
		route->collection = true;
		kind->managed_elsewhere = false;
	}
	route->kind = kind;
	for (int i = 0; kind != NULL && !route->archive && i < METHOD_COUNT; i++)
	{
		if (route->operations[i] == NULL)
			continue;
		if (route->operations[i]->schema)
			kind->schema = route->operations[i]->schema;
		if (route->operations[i]->list_key)
			kind->list_key = route->operations[i]->list_key;
	}
}

/* Finds the kind that owns collections of this one: /v1/Instances of /v1/Instances/{}/Teams, anonymous or not. */
static void
find_parent(Kind *kind)
{
	const char *last = strstr(kind->shape, "/{}/");

	for (const char *next = last; next != NULL; next = strstr(next + 1, "/{}/"))
		last = next;
	if (last != NULL)
	{
		char *shape = shape_without(kind->shape, strlen(last));

		kind->parent = kinds_of_shape(shape);
		if (kind->parent == NULL && !kind->managed_elsewhere)
		{
			Kind *parent = add_kind(shape, 0);

			parent->managed_elsewhere = false;
			parent->anonymous = true;
			kind->parent = parent;
		}
		free(shape);
	}
}

/* Finds a kind's parent, and the prefix that its schema gives to its SIDs. */
static void
complete_kind(Kind *kind)
{
	const Member *member;

	find_parent(kind);
	if (kind->sid_member == NULL)
		kind->sid_member = "sid";
	member = schema_member(kind->schema, kind->sid_member);
	if (member != NULL && member->pattern != NULL && member->pattern[0] == '^')
		memcpy(kind->sid_prefix, member->pattern + 1, 2);
}

/* Derives all kinds; call it once, after the facts were read. */
void
kinds_derive(void)
{
	kinds = calloc(2 * (size_t) facts_route_count() + 1, sizeof(Kind));
	for (int i = 0; i < facts_route_count(); i++)
		assign_kind(&facts_routes()[i]);
	for (int i = 0; i < kind_count; i++)
		complete_kind(&kinds[i]);
}

/* How many kinds there are; they are numbered from 0. */
int
kinds_count(void)
{
	return kind_count;
}

/* The kind of that number. */
const Kind *
kinds_get(int number)
{
	return &kinds[number];
}

/* Whether two words are the same but for flex_ before them, and underscores. */
static bool
same_word(const char *left, const char *right)
{
	left += strncmp(left, "flex_", 5) == 0 ? 5 : 0;
	right += strncmp(right, "flex_", 5) == 0 ? 5 : 0;
	for (;; left++, right++)
	{
		left += *left == '_';
		right += *right == '_';
		if (*left != *right)
			return false;
		if (*left == '\0')
			return true;
	}
}

/*
 * The kind that somebody means by a name: the last word of its path
 * (web_channels), its shape, or its list key. A kind that stands on its own
 * is preferred to one that others own.
 */
const Kind *
kinds_named(const char *name)
{
	const Kind *found = NULL;

	for (int i = 0; i < kind_count; i++)
	{
		bool same = strcmp(kinds[i].shape, name) == 0 || same_word(kinds[i].word, name) ||
					(kinds[i].list_key && same_word(kinds[i].list_key, name));

		if (same && (found == NULL || (found->parent && !kinds[i].parent)))
			found = &kinds[i];
	}
	return found;
}
