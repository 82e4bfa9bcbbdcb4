/*
 * fault_names.c
 *	  Faults by name: {"fault":"slow"} stands for members that would have to be
 *	  looked up otherwise, and any of them can be given besides. And what a
 *	  fault may say: a misspelt member would make a test pass in vain.
 */
#include <string.h>

#include "facts.h"
#include "fault_names.h"
#include "json_text.h"

typedef struct NamedFault
{
	const char *name;
	const char *members; /* JSON of what it stands for */
} NamedFault;

static const NamedFault named_faults[] = {
	{.name = "429", .members = "{\"status\":429,\"code\":20429,\"message\":\"Too Many Requests\"}"},
	{.name = "500", .members = "{\"status\":500}"},
	{.name = "503", .members = "{\"status\":503}"},
	{.name = "html_503", .members = "{\"status\":503,\"shape\":\"html\"}"},
	{.name = "slow", .members = "{\"delay_ms\":3000}"},
	{.name = "dripping", .members = "{\"drip\":{\"bytes\":16,\"interval_ms\":50}}"},
	{.name = "stalled", .members = "{\"stall_after\":20}"},
	{.name = "refused_connection", .members = "{\"cut_at\":0}"},
	{.name = "lost_answer", .members = "{\"cut_at\":0,\"after\":true}"},
	{.name = "cut", .members = "{\"cut_at\":200}"},
	{.name = "odd_bytes", .members = "{\"mutate\":1}"},
};

static const char *const members[] = {
	"fault",   "operation", "method",      "path",         "chance", "seed",    "times",         "skip",
	"status",  "code",      "message",     "shape",        "after",  "headers", "retry_after",   "delay_ms",
	"body",    "cut_at",    "body_base64", "content_type", "drip",   "nested",  "next_page_url", "stall_after",
	"missing", "mutate",    "huge_bytes",  "loop",         "set"};

#define NAMED_COUNT (sizeof(named_faults) / sizeof(named_faults[0]))
#define MEMBER_COUNT (sizeof(members) / sizeof(members[0]))

/* The fault of that name, or NULL. */
static const NamedFault *
find_named(const char *name)
{
	for (size_t i = 0; name != NULL && i < NAMED_COUNT; i++)
		if (strcmp(named_faults[i].name, name) == 0)
			return &named_faults[i];
	return NULL;
}

/* Says that there is no such fault, and which there are. */
static bool
complain_of_name(Problem *problem)
{
	Text names = {0};

	for (size_t i = 0; i < NAMED_COUNT; i++)
		text_printf(&names, "%s%s", i ? ", " : "", named_faults[i].name);
	problem_note(problem, "fault", "no such fault; there are %s", names.data);
	text_free(&names);
	return false;
}

/* Checks that a fault says nothing that it cannot. */
static bool
check_member_names(json_object *fault, Problem *problem)
{
	json_object_object_foreach(fault, name, unused)
	{
		Text names = {0};
		bool known = false;

		(void) unused;
		for (size_t i = 0; i < MEMBER_COUNT; i++)
		{
			known = known || strcmp(members[i], name) == 0;
			text_printf(&names, "%s%s", i ? ", " : "", members[i]);
		}
		if (!known)
			problem_note(problem, name, "a fault has no such member; there are %s", names.data);
		text_free(&names);
		if (!known)
			return false;
	}
	return true;
}

/* Checks a fault; false, with the problem, if it makes no sense. */
bool
fault_check(json_object *fault, Problem *problem)
{
	json_object *chance = json_member(fault, "chance");
	const char *operation = json_text_member(fault, "operation");
	double share = chance ? json_object_get_double(chance) : 1;
	bool number = json_object_is_type(chance, json_type_double) || json_object_is_type(chance, json_type_int);

	if (!json_object_is_type(fault, json_type_object))
		return problem_note(problem, "", "a fault must be an object");
	if (!check_member_names(fault, problem))
		return false;
	if (json_member(fault, "fault") != NULL && find_named(json_text_member(fault, "fault")) == NULL)
		return complain_of_name(problem);
	if (json_member(fault, "operation") != NULL && (operation == NULL || facts_operation_named(operation) == NULL))
		return problem_note(problem, "operation", "no such operation");
	if (chance != NULL && (!number || !(share >= 0 && share <= 1)))
		return problem_note(problem, "chance", "must be a number from 0 to 1");
	if (json_member(fault, "seed") != NULL && !json_object_is_type(json_member(fault, "seed"), json_type_int))
		return problem_note(problem, "seed", "must be a whole number");
	return true;
}

/* A fault with the members that its name stands for, unless it says otherwise; the caller owns it. */
json_object *
fault_expand(json_object *fault)
{
	const NamedFault *named = find_named(json_text_member(fault, "fault"));
	json_object *meant = named ? json_reread(named->members, strlen(named->members)) : json_object_new_object();

	json_object_object_foreach(fault, name, value)
	{
		/* A seed is also where the damages begin. */
		if (strcmp(name, "seed") == 0 && json_member(meant, "mutate") != NULL)
			json_object_object_add(meant, "mutate", json_object_get(value));
		json_object_object_add(meant, name, json_object_get(value));
	}
	return meant;
}
