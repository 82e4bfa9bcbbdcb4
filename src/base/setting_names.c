/*
 * setting_names.c
 *		The setting that was probably meant by a name that none has.
 *
 * The server refuses such a name once our prefix is reserved, and removes what was
 * set by it before, with a message that it words itself.  The hint is added to that
 * message while it is made, by an error context callback.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/guc_tables.h"

#include "base/closest.h"
#include "base/compat.h"
#include "base/setting_names.h"

#define CLASS "flex_api"
#define PREFIX CLASS "."

/* True for a parameter of our prefix that is only a name with a value. */
static bool
is_placeholder(const struct config_generic *parameter)
{
	return (parameter->flags & GUC_CUSTOM_PLACEHOLDER) != 0 && strncmp(parameter->name, PREFIX, strlen(PREFIX)) == 0;
}

/* The setting nearest to a name, palloc'd; NULL: it is none of ours, it is right, or nothing is near. */
char *
flex_setting_closest(const char *name)
{
	int count;
	struct config_generic **all;
	ClosestName closest;

	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return NULL;
	all = flex_guc_variables(&count);
	/* Without the prefix, which would make any two names alike. */
	closest = flex_closest_begin(name + strlen(PREFIX));
	for (int i = 0; i < count; i++)
	{
		if (strncmp(all[i]->name, PREFIX, strlen(PREFIX)) == 0 && !is_placeholder(all[i]))
			flex_closest_compare(&closest, all[i]->name + strlen(PREFIX));
	}
	return closest.found == NULL || closest.distance == 0 ? NULL : psprintf(PREFIX "%s", closest.found);
}

/* Add the hint to the server's message. */
static void
add_hint(void *hint)
{
	if (geterrcode() == ERRCODE_INVALID_NAME)
		errhint("%s", (const char *) hint);
}

/*
 * Reserve our prefix, when all parameters are defined.  The server warns of each other
 * name and does not say in which order, so that the hint names all of them.
 */
void
flex_settings_reserve_prefix(void)
{
	int count;
	struct config_generic **all = flex_guc_variables(&count);
	StringInfoData hint;
	ErrorContextCallback context = {.previous = error_context_stack, .callback = add_hint};

	initStringInfo(&hint);
	for (int i = 0; i < count; i++)
	{
		char *closest = is_placeholder(all[i]) ? flex_setting_closest(all[i]->name) : NULL;

		if (closest != NULL)
			appendStringInfo(&hint, "%sPerhaps you meant \"%s\", not \"%s\".", hint.len > 0 ? " " : "", closest,
							 all[i]->name);
	}
	context.arg = hint.data;
	if (hint.len > 0)
		error_context_stack = &context;
	MarkGUCPrefixReserved(CLASS);
	error_context_stack = context.previous;
	pfree(hint.data);
}
