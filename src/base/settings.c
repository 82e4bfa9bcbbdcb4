/*
 * settings.c
 *		The configuration parameters flex_api.*.
 *
 * A role that can direct requests to another host can obtain the secret, so only superusers
 * can set base_url, proxy, ca_file and credentials_file.  Secrets are shown to superusers
 * only, not even to members of pg_read_all_settings.  A secret that is stored by ALTER ROLE or
 * ALTER DATABASE is in a catalog that every user can read; this raises a warning when it is
 * stored or, if the library was not loaded then, when it is used.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "base/address.h"
#include "base/settings.h"

#define MOST_USER_BYTES 255 /* of an account or key; the outbox stores accounts, and messages show them */

Settings flex_settings;

/* Return true if a string parameter has a value. */
bool
flex_setting_is_set(const char *value)
{
	return value != NULL && value[0] != '\0';
}

/*
 * Check that the value of a setting is valid as the user of Basic authentication.  The default
 * message would contain the value, which may be a whole pair, as of curl's -u: SID:secret.
 */
static bool
is_user(const char *value, const char *setting)
{
	bool has_odd = false;

	for (const char *p = value; *p; p++)
		has_odd |= *p == ':' || iscntrl((unsigned char) *p);
	if (!has_odd && strlen(value) <= MOST_USER_BYTES)
		return true;
	GUC_check_errmsg("invalid value for parameter \"%s\"", setting);
	if (has_odd)
		GUC_check_errdetail("Colons and control characters cannot be part of a SID.");
	else
		GUC_check_errdetail("A SID has %d bytes at the most.", MOST_USER_BYTES);
	return false;
}

/* Check hooks */

static bool
check_account(char **newval, void **extra, GucSource source)
{
	return is_user(*newval, "flex_api.account_sid");
}

static bool
check_key(char **newval, void **extra, GucSource source)
{
	return is_user(*newval, "flex_api.api_key");
}

/* Check hook: warn about a secret that every user can read; never fails. */
static bool
check_secret(char **newval, void **extra, GucSource source)
{
	static bool warned = false;
	bool being_stored = (source == PGC_S_TEST);
	bool was_stored = (source >= PGC_S_GLOBAL && source <= PGC_S_DATABASE_USER);

	if (!flex_setting_is_set(*newval) || InitializingParallelWorker)
		return true;
	if (being_stored || (was_stored && !warned))
	{
		warned = warned || was_stored;
		ereport(WARNING,
				(errcode(ERRCODE_WARNING), errmsg("a Flex API secret is stored where every user can read it"),
				 errdetail("Settings of roles, databases and functions stand in system catalogs that are open to all."),
				 errhint("Use flex_api.credentials_file, and give a new value to the secret that was stored.")));
	}
	return true;
}

/* Return a secret as SHOW, current_setting() and pg_settings show it. */
static const char *
show_secret(const char *value)
{
	if (!flex_setting_is_set(value))
		return "";
	return IsTransactionState() && superuser() ? value : "********";
}

/* Show hooks */

static const char *
show_auth_token(void)
{
	return show_secret(flex_settings.auth_token);
}

static const char *
show_auth_token_previous(void)
{
	return show_secret(flex_settings.auth_token_previous);
}

static const char *
show_api_secret(void)
{
	return show_secret(flex_settings.api_secret);
}

/* The URL of a proxy can contain a password. */
static const char *
show_proxy(void)
{
	return show_secret(flex_settings.proxy);
}

/* Check hook: an edge or region must be a DNS label, so that it cannot lead to another domain. */
static bool
check_label(char **newval, void **extra, GucSource source)
{
	size_t length = strlen(*newval);

	if (length > 63 || strspn(*newval, "abcdefghijklmnopqrstuvwxyz0123456789-") != length)
	{
		GUC_check_errdetail("Lower-case letters, digits and hyphens are allowed.");
		return false;
	}
	return true;
}

/* Check hook: the URL must be valid, and https unless it is a loopback address, as http would expose the secret. */
static bool
check_base_url(char **newval, void **extra, GucSource source)
{
	const char *fault = flex_setting_is_set(*newval) ? flex_base_url_fault(*newval) : NULL;

	if (fault == NULL)
		return true;
	/* The default message would contain the value, which has a password if somebody has put one before the host. */
	if (strchr(*newval, '@') != NULL)
		GUC_check_errmsg("invalid value for parameter \"%s\"", "flex_api.base_url");
	GUC_check_errdetail("%s", fault);
	return false;
}

/* Check hook: the URL must be valid, as libcurl's error message for an invalid one would contain it. */
static bool
check_proxy(char **newval, void **extra, GucSource source)
{
	if (!flex_setting_is_set(*newval) || flex_proxy_url_is_good(*newval))
		return true;
	/* The default message would contain the value, which may include a password. */
	GUC_check_errmsg("invalid value for parameter \"%s\"", "flex_api.proxy");
	GUC_check_errdetail("The URL must be http, https, socks5 or socks5h, with a host and if need be a port.");
	return false;
}

/* Arguments of DefineCustomStringVariable() */
typedef struct StringSetting
{
	const char *name;
	char **variable;
	GucContext context;
	int flags;
	GucStringCheckHook check;
	GucShowHook show;
	const char *brief;
	const char *more;
} StringSetting;

/*
 * pg_settings shows reset_val without calling the show hook, so it must not list secrets.
 * GUC_SUPERUSER_ONLY would make set_config() fail for other roles, because it returns what SHOW
 * does.
 */
#define SECRET (GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL)

static const StringSetting string_settings[] = {
	{
		.name = "flex_api.account_sid",
		.variable = &flex_settings.account_sid,
		.context = PGC_USERSET,
		.check = check_account,
		.brief = "Account SID (AC...) for which requests are made.",
		.more = "With flex_api.auth_token it is the user of the request; with flex_api.credentials_file "
				"it selects the line.",
	},
	{
		.name = "flex_api.auth_token",
		.variable = &flex_settings.auth_token,
		.context = PGC_USERSET,
		.flags = SECRET,
		.check = check_secret,
		.show = show_auth_token,
		.brief = "Auth token of the account: a secret.",
		.more = "Shown to superusers only. The credentials file is the safer place.",
	},
	{
		.name = "flex_api.auth_token_previous",
		.variable = &flex_settings.auth_token_previous,
		.context = PGC_USERSET,
		.flags = SECRET,
		.check = check_secret,
		.show = show_auth_token_previous,
		.brief = "Previous auth token, with which webhooks may still be signed: a secret.",
		.more = "Shown to superusers only. Set it while the token is rotated. No request is made with it.",
	},
	{
		.name = "flex_api.api_key",
		.variable = &flex_settings.api_key,
		.context = PGC_USERSET,
		.check = check_key,
		.brief = "API key SID (SK...), used with flex_api.api_secret instead of the auth token.",
	},
	{
		.name = "flex_api.api_secret",
		.variable = &flex_settings.api_secret,
		.context = PGC_USERSET,
		.flags = SECRET,
		.check = check_secret,
		.show = show_api_secret,
		.brief = "Secret of the API key.",
		.more = "Shown to superusers only. The credentials file is the safer place.",
	},
	{
		.name = "flex_api.credentials_file",
		.variable = &flex_settings.credentials_file,
		.context = PGC_SUSET,
		.brief = "File with lines account_sid:role:user:secret.",
		.more = "Only the server's owner may be able to read it. A role uses the lines with its name or "
				"*. A relative path starts at the data directory.",
	},
	{
		.name = "flex_api.server",
		.variable = &flex_settings.server,
		.context = PGC_USERSET,
		.brief = "Foreign server whose address calls use, with the current role's user mapping.",
		.more = "It replaces account_sid, edge, region and the credentials, except credentials that a "
				"session has set for itself.",
	},
	{
		.name = "flex_api.base_url",
		.variable = &flex_settings.base_url,
		.context = PGC_SUSET,
		.check = check_base_url,
		.brief = "Scheme, host and port of the service, instead of those derived from edge and region.",
		.more = "It may have a path, which is put before that of each request, and {service} for the product's name. "
				"Plain http is accepted for loopback addresses only.",
	},
	{
		.name = "flex_api.proxy",
		.variable = &flex_settings.proxy,
		.context = PGC_SUSET,
		.flags = SECRET | GUC_SUPERUSER_ONLY,
		.check = check_proxy,
		.show = show_proxy,
		.brief = "URL of a proxy for requests; the proxy variables of the environment are never used.",
	},
	{
		.name = "flex_api.ca_file",
		.variable = &flex_settings.ca_file,
		.context = PGC_SUSET,
		.brief = "PEM file of the trusted certificate authorities; empty for those of the system.",
	},
	{
		.name = "flex_api.edge",
		.variable = &flex_settings.edge,
		.context = PGC_USERSET,
		.check = check_label,
		.brief = "Edge location at which requests enter Twilio's network, such as dublin.",
	},
	{
		.name = "flex_api.region",
		.variable = &flex_settings.region,
		.context = PGC_USERSET,
		.check = check_label,
		.brief = "Region that processes requests, such as ie1.",
	},
};

/* Arguments of DefineCustomIntVariable() */
typedef struct IntegerSetting
{
	const char *name;
	int *variable;
	int initial;
	int least;
	int most;
	int flags;
	bool is_everybodys; /* it affects requests of other roles, so only superusers can set it */
	bool is_servers;    /* only background workers read it, so it is set in the configuration file */
	const char *brief;
	const char *more;
} IntegerSetting;

static const IntegerSetting integer_settings[] = {
	{
		.name = "flex_api.connect_timeout",
		.variable = &flex_settings.connect_timeout,
		.initial = 5000,
		.least = 1,
		.most = 600000,
		.flags = GUC_UNIT_MS,
		.brief = "Maximum time to connect, including name look-up and TLS.",
		.more = "It is part of flex_api.timeout, which applies if it is shorter.",
	},
	{
		.name = "flex_api.timeout",
		.variable = &flex_settings.timeout,
		.initial = 30000,
		.least = 1,
		.most = 86400000,
		.flags = GUC_UNIT_MS,
		.brief = "Maximum time for a request and its answer, including retries and delays.",
		.more = "A list has this time for each of its pages.",
	},
	{
		.name = "flex_api.max_retries",
		.variable = &flex_settings.max_retries,
		.initial = 3,
		.least = 0,
		.most = 20,
		.brief = "Maximum number of times that a request is retried, if that is safe.",
		.more = "A retry is safe if the request was never sent, or if its method is idempotent. A request "
				"that was refused with 429 is retried without being counted, except if this is 0.",
	},
	{
		.name = "flex_api.max_response_size",
		.variable = &flex_settings.max_response_size,
		.initial = 16 * 1024,
		.least = 1,
		.most = 1024 * 1024 - 1,
		.flags = GUC_UNIT_KB,
		.brief = "Maximum size of an answer; for a list, of each page.",
	},
	{
		.name = "flex_api.concurrency",
		.variable = &flex_settings.concurrency,
		.initial = 20,
		.least = 1,
		.most = 1000,
		.brief = "Maximum number of requests in flight of a sender of the outbox, or of flex_call_many().",
	},
	{
		.name = "flex_api.callback_timeout",
		.variable = &flex_settings.callback_timeout,
		.initial = 10000,
		.least = 1,
		.most = 3600000,
		.flags = GUC_UNIT_MS,
		.is_everybodys = true,
		.brief = "Maximum time that a callback of the outbox may run.",
	},
	{
		.name = "flex_api.shutdown_grace",
		.variable = &flex_settings.shutdown_grace,
		.initial = 500,
		.least = 0,
		.most = 60000,
		.flags = GUC_UNIT_MS,
		.is_servers = true,
		.brief = "How long the outbox's requests in flight may take when the server shuts down.",
		.more = "The same applies to running callbacks. Nothing new is sent meanwhile.",
	},
	{
		.name = "flex_api.outbox_retention",
		.variable = &flex_settings.outbox_retention,
		.initial = 7 * 24 * 60,
		.least = -1,
		.most = PG_INT32_MAX,
		.flags = GUC_UNIT_MIN,
		.is_everybodys = true,
		.brief = "How long finished requests stay in the outbox; -1 for ever.",
		.more = "Uncertain requests stay until a person has decided on them.",
	},
	{
		.name = "flex_api.outbox_quota",
		.variable = &flex_settings.outbox_quota,
		.initial = 1000000,
		.least = -1,
		.most = PG_INT32_MAX,
		.is_everybodys = true,
		.brief = "Maximum number of a role's waiting requests in the outbox; -1 for any number.",
		.more = "The value of the session that enqueues applies. Further requests are refused with "
				"SQLSTATE 53400.",
	},
};

static const struct config_enum_entry unrepresentable_values[] = {
	{"error", UNREPRESENTABLE_ERROR, false},
	{"replace", UNREPRESENTABLE_REPLACE, false},
	{NULL, 0, false},
};

static const struct config_enum_entry outbox_keep_values[] = {
	{"all", OUTBOX_KEEP_ALL, false},
	{"identifiers", OUTBOX_KEEP_IDENTIFIERS, false},
	{NULL, 0, false},
};

/* Define the parameters in this file. */
void
flex_settings_define(void)
{
	for (size_t i = 0; i < lengthof(string_settings); i++)
	{
		const StringSetting *s = &string_settings[i];

		DefineCustomStringVariable(s->name, s->brief, s->more, s->variable, "", s->context, s->flags, s->check, NULL,
								   s->show);
	}
	for (size_t i = 0; i < lengthof(integer_settings); i++)
	{
		const IntegerSetting *s = &integer_settings[i];

		DefineCustomIntVariable(s->name, s->brief, s->more, s->variable, s->initial, s->least, s->most,
								s->is_servers      ? PGC_SIGHUP
								: s->is_everybodys ? PGC_SUSET
												   : PGC_USERSET,
								s->flags, NULL, NULL, NULL);
	}
	DefineCustomBoolVariable("flex_api.delivery", "Whether the outbox's requests are sent.",
							 "While it is off, requests can be enqueued, and wait. Requests in flight are still "
							 "settled.",
							 &flex_settings.delivery, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable(
		"flex_api.outbox_keep", "What is kept of arguments, context and answer when a request of the outbox has ended.",
		"identifiers: only the SIDs in them. Failed and uncertain requests are kept unchanged "
		"until a person has decided on them.",
		&flex_settings.outbox_keep, OUTBOX_KEEP_ALL, outbox_keep_values, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("flex_api.unrepresentable",
							 "What happens to characters of an answer that the database cannot represent.",
							 "error: the answer is refused; replace: U+FFFD stands for each, or \"?\" if the "
							 "database's encoding does not have that.",
							 &flex_settings.unrepresentable, UNREPRESENTABLE_ERROR, unrepresentable_values, PGC_USERSET,
							 0, NULL, NULL, NULL);
}
