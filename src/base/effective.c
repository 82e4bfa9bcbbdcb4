/*
 * effective.c
 *		The value of a setting that counts for a call.
 *
 * A function with SECURITY DEFINER calls the service as its owner, while the
 * settings in force are those of the session.  What the session's role has set
 * must not send the owner's data to another account, nor change how the owner's
 * request is treated.  So where the current role is not the outer one, a value
 * counts if the current role has set it (a SET clause of the function does), or
 * if it is the server's or the database's.  Otherwise the value that RESET would
 * give counts, if that is theirs.  ALTER ROLE ... SET and the options of a
 * connection replace it, and then the call is refused.
 *
 * The same options can take the place of a value that they may not change: a
 * library that is loaded later finds a placeholder, and nothing of what was
 * before it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/effective.h"

#define PREFIX "flex_api."

/* The settings that a session may set, and that change what a call does. */
static struct
{
	const char *name;
	const void *variable;
	const struct config_generic *parameter;
} settings[] = {
	{PREFIX "account_sid", &flex_settings.account_sid},
	{PREFIX "auth_token", &flex_settings.auth_token},
	{PREFIX "auth_token_previous", &flex_settings.auth_token_previous},
	{PREFIX "api_key", &flex_settings.api_key},
	{PREFIX "api_secret", &flex_settings.api_secret},
	{PREFIX "server", &flex_settings.server},
	{PREFIX "edge", &flex_settings.edge},
	{PREFIX "region", &flex_settings.region},
	{PREFIX "connect_timeout", &flex_settings.connect_timeout},
	{PREFIX "timeout", &flex_settings.timeout},
	{PREFIX "max_retries", &flex_settings.max_retries},
	{PREFIX "max_response_size", &flex_settings.max_response_size},
	{PREFIX "unrepresentable", &flex_settings.unrepresentable},
};

static bool acts_for_another; /* what the session has set is none of the current role's */

/* Placeholders with a value of the connection's options, from before the library was loaded. */
static List *placeholders;    /* their names */
static const char *displaced; /* the first of them that was refused; NULL: none */

/* The parameter of a field of flex_settings. */
static const struct config_generic *
parameter_of(const void *variable)
{
	for (size_t i = 0; i < lengthof(settings); i++)
	{
		if (settings[i].variable != variable)
			continue;
		Assert(settings[i].parameter != NULL);
		return settings[i].parameter;
	}
	elog(ERROR, "no parameter has this variable");
}

/* True for a value that was given to every session of the server or the database. */
static bool
is_everybodys(GucSource source)
{
	return source <= PGC_S_DATABASE;
}

/*
 * True for a value that counts for calls of the current role.  What ALTER ROLE
 * has set says that the bootstrap superuser has: it is the session's role's.
 */
static bool
counts(GucSource source, Oid setter)
{
	bool has_setter = source == PGC_S_CLIENT || source >= PGC_S_INTERACTIVE;

	return is_everybodys(source) || (has_setter && setter == GetUserId());
}

/*
 * From now on, or no longer, another role's code runs whose session this is taken for:
 * what was set before it does not count for its calls.
 */
void
flex_effective_act_for_another(bool another)
{
	acts_for_another = another;
}

/* True when all values in force count: the current role is the one whose session this is. */
static bool
is_own_session(void)
{
	return GetUserId() == GetOuterUserId() && !acts_for_another;
}

/* Raise 55000: the value that would count is not known in this session. */
pg_noreturn static void
raise_lost(const char *name)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("the value of \"%s\" for calls of role \"%s\" is not known", name,
				GetUserNameFromId(GetUserId(), false)),
		 errdetail("Connection options or ALTER ROLE have set it for role \"%s\". That value does not apply to calls "
				   "of another role, but has replaced the one that does.",
				   GetUserNameFromId(GetSessionUserId(), false)),
		 errhint("Use SET in the session instead, or give the function that calls a SET clause for the parameter.")));
}

/* True when neither the value in force counts nor that of RESET. */
static bool
is_lost(const struct config_generic *parameter)
{
	return !is_own_session() && !counts(parameter->source, parameter->srole) &&
		   !counts(parameter->reset_source, parameter->reset_srole);
}

/* True when the value in force counts, false when that of RESET does; raises 55000 when neither does. */
static bool
value_in_force_counts(const struct config_generic *parameter)
{
	if (is_lost(parameter))
		raise_lost(parameter->name);
	return is_own_session() || counts(parameter->source, parameter->srole);
}

/* The value of a string setting that counts for a call of the current role; raises 55000 when it is lost. */
const char *
flex_effective_string(char *const *variable)
{
	const struct config_generic *parameter = parameter_of(variable);
	const char *value = value_in_force_counts(parameter) ? *variable : GetConfigOptionResetString(parameter->name);

	return value != NULL ? value : "";
}

/* The same of an integer setting, in its own unit. */
int
flex_effective_integer(const int *variable)
{
	const struct config_generic *parameter = parameter_of(variable);

	return value_in_force_counts(parameter) ? *variable : atoi(GetConfigOptionResetString(parameter->name));
}

/*
 * True when an enum setting has this value, of this name, for a call of the current
 * role.  A lost value is no error, for this is asked when an answer is read: the one
 * in force is taken, which is the sender's for a request of the outbox.
 */
bool
flex_effective_is(const int *variable, int value, const char *name)
{
	const struct config_generic *parameter = parameter_of(variable);

	if (is_lost(parameter) || value_in_force_counts(parameter))
		return *variable == value;
	return strcmp(GetConfigOptionResetString(parameter->name), name) == 0;
}

/* Raise 55000 when a value that counts is lost: before a request is sent, not when its answer is read. */
void
flex_effective_check_known(void)
{
	for (size_t i = 0; i < lengthof(settings); i++)
	{
		if (is_lost(settings[i].parameter))
			raise_lost(settings[i].name);
	}
}

/* True when the value that counts is the session's own, not that of server or database. */
bool
flex_effective_is_of_session(const void *variable)
{
	const struct config_generic *parameter = parameter_of(variable);

	return !is_everybodys(value_in_force_counts(parameter) ? parameter->source : parameter->reset_source);
}

/*
 * Raise 55000 when an option of the connection, which was refused, has taken the
 * place of what the server or the database had set: it is not known any more,
 * and the default is not what was wanted.
 */
void
flex_effective_check_displaced(void)
{
	if (displaced != NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the value of \"%s\" is not known in this session", displaced),
						errdetail("The session's connection options set it to a value that was refused when the "
								  "library was loaded, and which has replaced the one of the server or the database."),
						errhint("Connect without this option.")));
}

/* Before parameters are defined: note which the connection's options have set already. */
void
flex_effective_note_placeholders(void)
{
	int count;
	struct config_generic **all = flex_guc_variables(&count);
	MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);

	for (int i = 0; i < count; i++)
	{
		if ((all[i]->flags & GUC_CUSTOM_PLACEHOLDER) != 0 && all[i]->reset_source == PGC_S_CLIENT &&
			pg_strncasecmp(all[i]->name, PREFIX, strlen(PREFIX)) == 0)
			placeholders = lappend(placeholders, pstrdup(all[i]->name));
	}
	MemoryContextSwitchTo(before);
}

/* Note the parameter of a name, and whether what a connection's option has set was refused. */
static void
note_parameter(const struct config_generic *parameter)
{
	ListCell *cell;

	for (size_t i = 0; i < lengthof(settings); i++)
	{
		if (strcmp(settings[i].name, parameter->name) == 0)
			settings[i].parameter = parameter;
	}
	foreach (cell, placeholders)
	{
		if (parameter->reset_source != PGC_S_CLIENT && pg_strcasecmp(lfirst(cell), parameter->name) == 0)
			displaced = parameter->name;
	}
}

/* After they were defined: find them, once. */
void
flex_effective_note_parameters(void)
{
	int count;
	struct config_generic **all = flex_guc_variables(&count);

	for (int i = 0; i < count; i++)
	{
		if ((all[i]->flags & GUC_CUSTOM_PLACEHOLDER) == 0 && strncmp(all[i]->name, PREFIX, strlen(PREFIX)) == 0)
			note_parameter(all[i]);
	}
}
