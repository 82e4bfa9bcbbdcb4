/*
 * options.c
 *		The options of servers, user mappings, foreign tables and their columns.
 *
 * An option with the meaning of a setting is checked as the setting is.  An option that
 * directs requests to another host can be set by superusers only, because that host would
 * get the secrets.  Secrets are options of user mappings only: those of a server can be
 * read by everybody.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "base/closest.h"
#include "base/compat.h"
#include "base/option_list.h"
#include "foreign/options.h"
#include "request/resources.h"

#define MOST_ROWS_A_PAGE 1000 /* the service's limit */

/* An option, and how its values are checked. */
typedef struct OptionRule
{
	const char *name;
	Oid catalog;                        /* of the objects that have the option */
	const char *setting;                /* its value must be valid for this setting; or NULL */
	bool is_superusers;                 /* only a superuser may set it */
	bool (*is_good)(const char *value); /* returns whether a value is valid; or NULL */
	const char *expected;               /* for the DETAIL: "It must be ..."; NULL: that of the setting's check */
} OptionRule;

/* The functions for OptionRule.is_good. */

static bool
is_page_size(const char *value)
{
	int size;

	return parse_int(value, &size, 0, NULL) && size >= 1 && size <= MOST_ROWS_A_PAGE;
}

static bool
is_row_count(const char *value)
{
	double rows;

	return parse_real(value, &rows, 0, NULL) && rows >= 1;
}

static bool
is_not_empty(const char *value)
{
	return value[0] != '\0';
}

static bool
is_resource(const char *value)
{
	return flex_resource_find(value) != NULL;
}

static const OptionRule rules[] = {
	{.name = "account_sid", .catalog = ForeignServerRelationId, .setting = "flex_api.account_sid"},
	{.name = "region", .catalog = ForeignServerRelationId, .setting = "flex_api.region"},
	{.name = "edge", .catalog = ForeignServerRelationId, .setting = "flex_api.edge"},
	{.name = "base_url", .catalog = ForeignServerRelationId, .setting = "flex_api.base_url", .is_superusers = true},
	{.name = "proxy", .catalog = ForeignServerRelationId, .setting = "flex_api.proxy", .is_superusers = true},
	{.name = "ca_file", .catalog = ForeignServerRelationId, .setting = "flex_api.ca_file", .is_superusers = true},
	{.name = "timeout",
	 .catalog = ForeignServerRelationId,
	 .setting = "flex_api.timeout",
	 .expected = "a time, such as 30s"},
	{.name = "max_retries",
	 .catalog = ForeignServerRelationId,
	 .setting = "flex_api.max_retries",
	 .expected = "a number from 0 to 20"},
	{.name = "concurrency",
	 .catalog = ForeignServerRelationId,
	 .setting = "flex_api.concurrency",
	 .expected = "a number from 1 to 1000"},
	{.name = "page_size",
	 .catalog = ForeignServerRelationId,
	 .is_good = is_page_size,
	 .expected = "a number from 1 to 1000"},

	{.name = "auth_token",
	 .catalog = UserMappingRelationId,
	 .is_good = is_not_empty,
	 .expected = "the account's auth token"},
	{.name = "api_key", .catalog = UserMappingRelationId, .setting = "flex_api.api_key", .is_good = is_not_empty},
	{.name = "api_secret",
	 .catalog = UserMappingRelationId,
	 .is_good = is_not_empty,
	 .expected = "the API key's secret"},

	{.name = "resource",
	 .catalog = ForeignTableRelationId,
	 .is_good = is_resource,
	 .expected = "a resource of the Flex API, such as \"channels\""},
	{.name = "page_size",
	 .catalog = ForeignTableRelationId,
	 .is_good = is_page_size,
	 .expected = "a number from 1 to 1000"},
	{.name = "concurrency",
	 .catalog = ForeignTableRelationId,
	 .setting = "flex_api.concurrency",
	 .expected = "a number from 1 to 1000"},
	{.name = "rows",
	 .catalog = ForeignTableRelationId,
	 .is_good = is_row_count,
	 .expected = "a number from 1 on: how many rows the table has, about"},

	{.name = "column_name",
	 .catalog = AttributeRelationId,
	 .is_good = is_not_empty,
	 .expected = "the name of a member"},
};

/* The kinds of objects that have options, for messages. */
static const struct
{
	Oid catalog;
	const char *name;
} owners[] = {
	{ForeignServerRelationId, "servers"},
	{UserMappingRelationId, "user mappings"},
	{ForeignTableRelationId, "foreign tables"},
	{AttributeRelationId, "columns"},
};

static const OptionRule *
find_rule(const char *name, Oid catalog)
{
	for (size_t i = 0; i < lengthof(rules); i++)
	{
		if (rules[i].catalog == catalog && strcmp(rules[i].name, name) == 0)
			return &rules[i];
	}
	return NULL;
}

/* Return a hint for an unknown option: what it is an option of, or which one was probably meant; or NULL. */
static const char *
hint_for_unknown(const char *name, Oid catalog)
{
	ClosestName closest = flex_closest_begin(name);

	for (size_t i = 0; i < lengthof(owners); i++)
	{
		if (find_rule(name, owners[i].catalog) != NULL)
			return psprintf("It is an option of %s.", owners[i].name);
	}
	for (size_t i = 0; i < lengthof(rules); i++)
	{
		if (rules[i].catalog == catalog)
			flex_closest_compare(&closest, rules[i].name);
	}
	return closest.found != NULL ? psprintf("Perhaps you meant the option \"%s\".", closest.found) : NULL;
}

/* Raise HV00D for an unknown option.  Its value is not shown, as it may be a secret in the wrong place. */
pg_noreturn static void
refuse_unknown(const char *name, Oid catalog)
{
	const char *hint = hint_for_unknown(name, catalog);
	StringInfoData known;

	initStringInfo(&known);
	for (size_t i = 0; i < lengthof(rules); i++)
	{
		if (rules[i].catalog == catalog)
			appendStringInfo(&known, "%s%s", known.len > 0 ? ", " : "", rules[i].name);
	}
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
					known.len > 0 ? errdetail("The options that are valid here: %s.", known.data)
								  : errdetail("There are no options here."),
					hint != NULL ? errhint("%s", hint) : 0));
}

/* Raise HV024 for a value, which is not shown, as it may be a secret.  detail may be NULL. */
pg_noreturn static void
refuse_value(const OptionRule *rule, const char *detail)
{
	if (rule->expected != NULL)
		detail = psprintf("It must be %s.", rule->expected);
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE), errmsg("invalid value for option \"%s\"", rule->name),
					detail != NULL ? errdetail_internal("%s", detail) : 0));
}

/* Check a value by the check of the option's setting, without changing the setting. */
static void
check_as_setting(const OptionRule *rule, const char *value)
{
	MemoryContext context = CurrentMemoryContext;

	/* No subtransaction is needed: the error is always replaced or thrown again. */
	PG_TRY();
	{
		(void) set_config_option(rule->setting, value, PGC_SUSET, PGC_S_TEST, GUC_ACTION_SET, false, ERROR, false);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_INVALID_PARAMETER_VALUE)
			PG_RE_THROW();
		FlushErrorState();
		refuse_value(rule, error->detail);
	}
	PG_END_TRY();
}

/* Check one option and its value. */
static void
check_option(const OptionRule *rule, const char *value)
{
	if (rule->is_superusers && !superuser())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only a superuser can set option \"%s\", or alter what has it", rule->name),
						errdetail("It decides where the secrets of user mappings are sent.")));
	if (rule->is_good != NULL && !rule->is_good(value))
		refuse_value(rule, NULL);
	if (rule->setting != NULL)
		check_as_setting(rule, value);
}

/*
 * Check all options that an object of a catalog is to have.  Raises HV00D for an unknown
 * option, HV024 for an invalid value, 42501 for an option that only a superuser may set,
 * HV00J for an API key without its secret or the reverse.
 */
void
flex_options_check(List *options, Oid catalog)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);
		const OptionRule *rule = find_rule(option->defname, catalog);

		if (rule == NULL)
			refuse_unknown(option->defname, catalog);
		check_option(rule, defGetString(option));
	}
	if (catalog == UserMappingRelationId &&
		(flex_option_find(options, "api_key") == NULL) != (flex_option_find(options, "api_secret") == NULL))
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("options \"api_key\" and \"api_secret\" must be set together")));
}
