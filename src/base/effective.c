/*
 * effective.c
 *		The values of settings that apply to a call.
 *
 * A SECURITY DEFINER function calls the service as its owner, while the settings are those
 * of the session.  A value set by the session's role must not direct the owner's data to
 * another account, nor change how the owner's request is handled.  Therefore, if the current
 * role is not the outer one, the current value applies only if the current role has set it
 * (as by a SET clause of the function) or if it is that of the server or the database.
 * Otherwise the reset value applies, under the same condition.  ALTER ROLE ... SET and
 * connection options replace the reset value; then no value is known, and the call is refused.
 *
 * Connection options can also displace values that they may not change.  If the library is
 * loaded later, there is only a placeholder, and the former value is lost.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/effective.h"

#define PREFIX "flex_api."

/* The settings that a session may set, and that affect a call. */
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

static bool acts_for_another; /* see flex_effective_act_for_another() */

/* Names of the placeholders that connection options had created before the library was loaded. */
static List *placeholders;
static const char *displaced; /* one of them whose value was refused; NULL: none */

/* Return the parameter of a member of flex_settings. */
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

/* Return true for a value that applies to all sessions of the server or the database. */
static bool
is_everybodys(GucSource source)
{
	return source <= PGC_S_DATABASE;
}

/*
 * Return true if a value from this source applies to calls of the current role, which is not
 * the session's.  The sources between (ALTER ROLE) name the bootstrap superuser as the setter,
 * but the values are those of the session's role.
 */
static bool
counts(GucSource source, Oid setter)
{
	bool has_setter = source == PGC_S_CLIENT || source >= PGC_S_INTERACTIVE;

	return is_everybodys(source) || (has_setter && setter == GetUserId());
}

/*
 * Note that code of another role begins (or ends) to run as if this were its session, as for
 * callbacks in a worker.  Values that were set before do not apply to its calls.
 */
void
flex_effective_act_for_another(bool another)
{
	acts_for_another = another;
}

/* Return true if the session belongs to the current role, so that all current values apply. */
static bool
is_own_session(void)
{
	return GetUserId() == GetOuterUserId() && !acts_for_another;
}

/* Raise 55000 because the value that should apply is not known in this session. */
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

/* Return true if neither the current value nor the reset value applies. */
static bool
is_lost(const struct config_generic *parameter)
{
	return !is_own_session() && !counts(parameter->source, parameter->srole) &&
		   !counts(parameter->reset_source, parameter->reset_srole);
}

/* Return true if the current value applies, false if the reset value does.  Raises 55000 if neither does. */
static bool
current_value_counts(const struct config_generic *parameter)
{
	if (is_lost(parameter))
		raise_lost(parameter->name);
	return is_own_session() || counts(parameter->source, parameter->srole);
}

/* Return the value of a string setting that applies to a call of the current role.  Raises 55000 if it is lost. */
const char *
flex_effective_string(char *const *variable)
{
	const char *value = *variable;

	if (!is_own_session())
	{
		const struct config_generic *parameter = parameter_of(variable);

		if (!current_value_counts(parameter))
			value = GetConfigOptionResetString(parameter->name);
	}
	return value != NULL ? value : "";
}

/* The same for an integer setting, in its base unit. */
int
flex_effective_integer(const int *variable)
{
	const struct config_generic *parameter;

	if (is_own_session())
		return *variable;
	parameter = parameter_of(variable);
	return current_value_counts(parameter) ? *variable : atoi(GetConfigOptionResetString(parameter->name));
}

/*
 * Return true if the value of an enum setting that applies to a call of the current role is
 * the given one, whose name is given, too.  A lost value raises no error, because this is
 * called when an answer is read, which is too late: the current value is used instead.
 */
bool
flex_effective_is(const int *variable, int value, const char *name)
{
	const struct config_generic *parameter = parameter_of(variable);

	if (is_lost(parameter) || current_value_counts(parameter))
		return *variable == value;
	return strcmp(GetConfigOptionResetString(parameter->name), name) == 0;
}

/* Raise 55000 if any value is lost.  Called before a request is sent, so that reading its answer does not fail. */
void
flex_effective_check_known(void)
{
	if (is_own_session())
		return;
	for (size_t i = 0; i < lengthof(settings); i++)
	{
		if (is_lost(settings[i].parameter))
			raise_lost(settings[i].name);
	}
}

/* Return true if the value that applies was set for the session or its role, and not for the server or the database. */
bool
flex_effective_is_of_session(const void *variable)
{
	const struct config_generic *parameter = parameter_of(variable);

	return !is_everybodys(current_value_counts(parameter) ? parameter->source : parameter->reset_source);
}

/*
 * Raise 55000 if a connection option, which was refused, has displaced a value of the server
 * or the database.  That value is lost, and the default must not be used instead.
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

/* Note the placeholders that connection options have created.  Called before parameters are defined. */
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

/* Note a parameter, and whether the value that a connection option had given to its placeholder was refused. */
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

/* Note all parameters.  Called after they have been defined. */
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
