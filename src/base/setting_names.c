/*
 * setting_names.c
 *		Hints for misspelled names of settings.
 *
 * When our prefix is reserved, the server removes placeholders with other names, with a
 * warning, and refuses such names from then on.  An error context callback adds the hint to
 * the server's message.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/guc_tables.h"

#include "base/closest.h"
#include "base/compat.h"
#include "base/setting_names.h"

#define CLASS "flex_api"
#define PREFIX CLASS "."

/* Return true for a placeholder with our prefix. */
static bool
is_placeholder(const struct config_generic *parameter)
{
	return (parameter->flags & GUC_CUSTOM_PLACEHOLDER) != 0 && strncmp(parameter->name, PREFIX, strlen(PREFIX)) == 0;
}

/* Return the setting most similar to a name, palloc'd; NULL if the name is correct or not ours, or none is similar. */
char *
flex_setting_closest(const char *name)
{
	int count;
	struct config_generic **all;
	ClosestName closest;

	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return NULL;
	all = flex_guc_variables(&count);
	/* The prefix is left out, because it would make any two names similar. */
	closest = flex_closest_begin(name + strlen(PREFIX));
	for (int i = 0; i < count; i++)
	{
		if (strncmp(all[i]->name, PREFIX, strlen(PREFIX)) == 0 && !is_placeholder(all[i]))
			flex_closest_compare(&closest, all[i]->name + strlen(PREFIX));
	}
	return closest.found == NULL || closest.distance == 0 ? NULL : psprintf(PREFIX "%s", closest.found);
}

/* Error context callback: add the hint to the server's message. */
static void
add_hint(void *hint)
{
	if (geterrcode() == ERRCODE_INVALID_NAME)
		errhint("%s", (const char *) hint);
}

/*
 * Reserve our prefix.  Called after all parameters have been defined.  The server warns about
 * each other name, in an undefined order, so each hint contains all of them.
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
