/*
 * distortions.c
 *	  Changes of a true answer that a fault may ask for: members that are
 *	  missing or of the wrong type, pages that lead astray, and bytes that are
 *	  damaged at random, from a seed that makes the damage repeatable.
 */
#include <string.h>

#include "distortions.h"
#include "json_text.h"

/* Removes and replaces members of one object. */
static void
change_members(json_object *object, json_object *missing, json_object *set)
{
	for (size_t i = 0; json_object_is_type(missing, json_type_array) && i < json_object_array_length(missing); i++)
		json_object_object_del(object, json_object_get_string(json_object_array_get_idx(missing, i)));
	if (!json_object_is_type(set, json_type_object))
		return;
	json_object_object_foreach(set, name, value)
	{
		json_object_object_add(object, name, json_object_get(value));
	}
}

/* Removes and replaces members of the answer's object, or of each row of it. */
static void
change_rows(json_object *fault, json_object *answer)
{
	json_object *missing = json_member(fault, "missing");
	json_object *set = json_member(fault, "set");
	const char *key = json_text_member(json_member(answer, "meta"), "key");
	json_object *rows = key ? json_member(answer, key) : NULL;

	if (rows == NULL)
		change_members(answer, missing, set);
	for (size_t i = 0; rows != NULL && i < json_object_array_length(rows); i++)
		change_members(json_object_array_get_idx(rows, i), missing, set);
}

/* Makes a page lead elsewhere, or to itself. */
static void
change_next_page(json_object *fault, json_object *answer)
{
	json_object *meta = json_member(answer, "meta");
	json_object *next;

	if (!json_object_is_type(meta, json_type_object))
		return;
	if (json_object_get_boolean(json_member(fault, "loop")))
		json_object_object_add(meta, "next_page_url", json_object_get(json_member(meta, "url")));
	if (json_object_object_get_ex(fault, "next_page_url", &next))
		json_object_object_add(meta, "next_page_url", json_object_get(next));
}

/* A random number below the limit; each call moves the state on. */
static size_t
random_below(uint64_t *state, size_t limit)
{
	*state = mix_bits(*state);
	return limit ? (size_t) (*state % limit) : 0;
}

/* Replaces a stretch of the body by other bytes. */
static void
splice(Text *body, size_t place, size_t remove, const char *insert, size_t length)
{
	Text changed = {0};

	text_add(&changed, body->data, place);
	text_add(&changed, insert, length);
	text_add(&changed, body->data + place + remove, body->length - place - remove);
	text_free(body);
	*body = changed;
}

/* Damages the body in one place. */
static void
damage(Text *body, uint64_t *state)
{
	static const char *const fragments[] = {"\"",   "\\", "{",     "}",       "[",       "]",
											",",    ":",  "null",  "\\u0000", "\\ud800", "\xff",
											"\xc3", "-",  "1e999", "\0",      "true",    "99999999999999999999",
											"\\",   " "};
	size_t place = random_below(state, body->length);
	size_t choice = random_below(state, 16);
	size_t stretch = random_below(state, 8) + 1;

	if (body->length == 0)
		return;
	if (stretch > body->length - place)
		stretch = body->length - place;
	if (choice < 5)
		body->data[place] ^= (char) (1 << random_below(state, 8));
	else if (choice < 7)
		body->data[place] = (char) random_below(state, 256);
	else if (choice < 10)
		splice(body, place, stretch, "", 0);
	else if (choice < 15)
	{
		const char *fragment = fragments[random_below(state, sizeof(fragments) / sizeof(fragments[0]))];

		/* The empty one stands for a NUL. */
		splice(body, place, choice == 14 ? stretch : 0, fragment, *fragment ? strlen(fragment) : 1);
	}
	else
		splice(body, place, body->length - place, "", 0);
}

/* Damages the body in one to four places. */
static void
mutate(Text *body, uint64_t seed)
{
	uint64_t state = mix_bits(seed);

	for (size_t left = random_below(&state, 4) + 1; left > 0; left--)
		damage(body, &state);
}

/* Changes the request's true answer as the fault wants it. */
void
distort_answer(json_object *fault, Request *request)
{
	Text *body = &request->answer.body;
	json_object *answer = NULL;

	if ((json_member(fault, "missing") || json_member(fault, "set") || json_member(fault, "loop") ||
		 json_object_object_get_ex(fault, "next_page_url", NULL)) &&
		json_read(body->data, body->length, &answer))
	{
		change_rows(fault, answer);
		change_next_page(fault, answer);
		body->length = 0;
		json_write(body, answer);
		json_object_put(answer);
	}
	if (json_member(fault, "mutate") != NULL)
		mutate(body, (uint64_t) json_integer_member(fault, "mutate", 0));
}
