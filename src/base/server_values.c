/*
 * server_values.c
 *		The server's values of settings, which ALTER ROLE replaces when a process connects.
 *
 * A background worker connects as the bootstrap superuser, and so gets what ALTER ROLE ... SET
 * has set for that role: its own credentials, for instance, which are not meant for the requests
 * of others.  The server keeps no record of the values that these replace.  Therefore all
 * values are noted before the worker connects, and those that were replaced are restored.  A
 * parameter that did not exist before, such as one of an application's, loses its value.  No
 * library is loaded meanwhile, so the noted parameters stay where they are.
 *
 * Decided against: RESET, which gives the role's value again; and PGC_S_OVERRIDE as the source
 * of what is restored, because the process would not follow a reload then.
 */
#include "postgres.h"

#include "utils/guc_tables.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/server_values.h"

typedef struct ServerValue
{
	struct config_generic *parameter;
	char *value; /* NULL: unknown */
	GucSource source;
} ServerValue;

struct ServerValues
{
	MemoryContext context; /* holds all of this */
	int count;
	ServerValue values[FLEXIBLE_ARRAY_MEMBER];
};

/* Note the values of all settings, in a new child of TopMemoryContext.  Called before the process connects. */
ServerValues *
flex_server_values_note(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "flex_api server values", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	int count;
	struct config_generic **all = flex_guc_variables(&count);
	ServerValues *noted = palloc(offsetof(ServerValues, values) + sizeof(ServerValue) * count);

	noted->context = context;
	noted->count = count;
	for (int i = 0; i < count; i++)
	{
		const char *value = GetConfigOption(all[i]->name, true, false);

		noted->values[i] = (ServerValue){all[i], value != NULL ? pstrdup(value) : NULL, all[i]->source};
	}
	MemoryContextSwitchTo(before);
	return noted;
}

/* Return true if a parameter has a value that ALTER ROLE has set. */
static bool
is_of_role(const struct config_generic *parameter)
{
	return parameter->source == PGC_S_USER || parameter->source == PGC_S_DATABASE_USER;
}

/* Return true if ALTER ROLE has set any value. */
bool
flex_server_values_are_replaced(void)
{
	int count;
	struct config_generic **all = flex_guc_variables(&count);

	for (int i = 0; i < count; i++)
	{
		if (is_of_role(all[i]))
			return true;
	}
	return false;
}

/*
 * Restore a value and its source.  A value with a lower source than the present one would be
 * ignored, so the present source is lowered first; but not to PGC_S_DEFAULT, because the server
 * has a list of all parameters with another source.
 */
static void
restore(const ServerValue *noted)
{
	struct config_generic *parameter = noted->parameter;

	parameter->source = parameter->reset_source = PGC_S_DYNAMIC_DEFAULT;
	(void) set_config_option(parameter->name, noted->value, PGC_SIGHUP, Max(noted->source, PGC_S_DYNAMIC_DEFAULT),
							 GUC_ACTION_SET, true, WARNING, false);
}

/*
 * Take its value from a parameter that ALTER ROLE has created.  The first call sets the value for
 * RESET to the default, which is none, and the second is a RESET.
 */
static void
forget(struct config_generic *parameter)
{
	parameter->reset_source = PGC_S_DEFAULT;
	(void) set_config_option(parameter->name, NULL, PGC_SIGHUP, PGC_S_DEFAULT, GUC_ACTION_SET, true, WARNING, false);
	(void) set_config_option(parameter->name, NULL, PGC_SIGHUP, PGC_S_SESSION, GUC_ACTION_SET, true, WARNING, false);
}

/*
 * Restore the values that ALTER ROLE has replaced.  The caller must be in a transaction, and apply
 * afterwards what has been set for the database.
 */
void
flex_server_values_restore(const ServerValues *values)
{
	int count;
	struct config_generic **all;

	for (int i = 0; i < values->count; i++)
	{
		if (values->values[i].value != NULL && is_of_role(values->values[i].parameter))
			restore(&values->values[i]);
	}
	all = flex_guc_variables(&count);
	for (int i = 0; i < count; i++)
	{
		if (is_of_role(all[i]))
			forget(all[i]);
	}
}

/* Free what was noted.  Some of it may be secret. */
void
flex_server_values_free(ServerValues *values)
{
	for (int i = 0; i < values->count; i++)
	{
		if (values->values[i].value != NULL)
			explicit_bzero(values->values[i].value, strlen(values->values[i].value));
	}
	MemoryContextDelete(values->context);
}
