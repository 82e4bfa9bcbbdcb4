/*
 * endpoint.c
 *		The address and the credentials of a request, from settings or a foreign server.
 *
 * An endpoint is made once per request or scan.  No other file of this folder looks up an
 * address, a proxy, the file of authorities or credentials to send.
 *
 * The order of precedence is: credentials set in the session, the foreign server named by
 * flex_api.server, credentials in other settings, the credentials file.  A request by way
 * of a server uses the credentials of its user mapping only, and never the account or the
 * region of the session.  The settings that only superusers can change (base_url, proxy,
 * ca_file) are defaults for servers that lack the option.
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "common/base64.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/effective.h"
#include "base/option_list.h"
#include "base/url.h"
#include "http/credentials_file.h"
#include "http/endpoint.h"
#include "http/origin.h"
#include "request/arguments.h"
#include "request/services.h"

/*
 * Return the origin (see Endpoint) that the settings describe, palloc'd.  Raise 55000 for a
 * region whose edge is not known.
 */
static char *
origin_of_settings(void)
{
	const char *region = flex_effective_string(&flex_settings.region);
	const char *edge = flex_effective_string(&flex_settings.edge);

	if (flex_setting_is_set(flex_settings.base_url))
		return flex_origin_of_url(flex_settings.base_url);
	return flex_origin_of_region(region, edge, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "flex_api.");
}

/*
 * Return the origin with the name of a product (service) filled in, palloc'd.
 *
 * Raise 55000 if the configured address is that of the Flex API only, and the product is
 * another one.  The request must not go to the configured address; nor must it go to the
 * product's public address, with credentials meant for a gateway or a simulator.
 */
char *
flex_endpoint_origin(const Endpoint *endpoint, const char *service)
{
	if (strcmp(service, FLEX_SERVICE) != 0 && !flex_url_has_service(endpoint->origin))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no address of service \"%s\" is configured", service),
				 errdetail("flex_api.base_url is the address of the Flex API alone."),
				 errhint("Put {service} into flex_api.base_url where the service's name goes, or leave it empty.")));
	return flex_url_for_service(endpoint->origin, service);
}

/* Raise 55000 for settings that are incomplete or contradictory. */
pg_noreturn static void
raise_settings(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg_internal("%s", message), errhint("%s", hint)));
}

/* Where the effective value of a setting comes from, for a message; palloc'd. */
#define SOURCE_OF_SETTING(member)                                                                                      \
	pstrdup(flex_effective_is_of_session(&flex_settings.member) ? "flex_api." #member ", which the session has set"    \
																: "flex_api." #member                                  \
																  ", which the server or the database has set")

/*
 * Return the credential in the settings, or one whose secret is NULL if there is none.  If
 * both an API key and an auth token are set, the key is used: the token may be set for its
 * other uses.
 */
static Credential
credential_of_settings(void)
{
	const char *token = flex_effective_string(&flex_settings.auth_token);
	const char *key = flex_effective_string(&flex_settings.api_key);
	const char *secret = flex_effective_string(&flex_settings.api_secret);
	const char *account = flex_effective_string(&flex_settings.account_sid);

	/* But a token set in the session takes precedence over a key that is not. */
	if (flex_setting_is_set(token) && flex_effective_is_of_session(&flex_settings.auth_token) &&
		!flex_effective_is_of_session(&flex_settings.api_key) &&
		!flex_effective_is_of_session(&flex_settings.api_secret))
		key = secret = "";
	if (flex_setting_is_set(key) && !flex_setting_is_set(secret))
		raise_settings("an API key is set without its secret", "Set flex_api.api_secret.");
	if (flex_setting_is_set(secret) && !flex_setting_is_set(key))
		raise_settings("an API secret is set without its key", "Set flex_api.api_key.");
	if (flex_setting_is_set(key))
		return (Credential){
			.account = pstrdup(account),
			.user = pstrdup(key),
			.secret = pstrdup(secret),
			.source = SOURCE_OF_SETTING(api_key),
		};
	if (!flex_setting_is_set(token))
		return (Credential){0};
	if (!flex_setting_is_set(account))
		raise_settings("an auth token is set without its account", "Set flex_api.account_sid.");
	return (Credential){
		.account = pstrdup(account),
		.user = pstrdup(account),
		.secret = pstrdup(token),
		.source = SOURCE_OF_SETTING(auth_token),
	};
}

/*
 * Return the credential for a role's requests to an account ("" for any): that of the
 * settings in effect for the current role, or that of the credentials file for the given
 * role.  For another account than flex_api.account_sid, only the file is used.  Raise 55000
 * if there is no credential, or it is incomplete.
 */
static Credential
find_credential(Oid role, const char *account)
{
	const char *own_account = flex_effective_string(&flex_settings.account_sid);
	bool any_will_do = account[0] == '\0' || !flex_setting_is_set(own_account);

	if (any_will_do || strcmp(account, own_account) == 0)
	{
		Credential credential = credential_of_settings();

		if (credential.secret != NULL)
			return credential;
	}
	if (flex_setting_is_set(flex_settings.credentials_file))
		return flex_credentials_file_find(flex_settings.credentials_file, role, account);
	raise_settings("no credentials for the Flex API are set",
				   "Set flex_api.credentials_file, or flex_api.account_sid with flex_api.auth_token, or "
				   "flex_api.api_key with flex_api.api_secret.");
}

/* Return an Authorization header, palloc'd, leaving no copy of the secret elsewhere. */
static char *
basic_authorization(const Credential *credential)
{
	static const char scheme[] = "Authorization: Basic ";
	int before = strlen(scheme);
	int user = strlen(credential->user);
	int secret = strlen(credential->secret);
	int length = user + 1 + secret;
	int room = pg_b64_enc_len(length) + 1;
	char *plain = palloc(length);
	char *header = palloc(before + room);
	int written;

	memcpy(plain, credential->user, user);
	plain[user] = ':';
	memcpy(plain + user + 1, credential->secret, secret);
	memcpy(header, scheme, before);
	written = pg_b64_encode((const void *) plain, length, header + before, room);
	explicit_bzero(plain, length);
	pfree(plain);
	if (written < 0)
		elog(ERROR, "could not encode credentials");
	header[before + written] = '\0';
	return header;
}

/*
 * Return the user of an endpoint's credentials for a message.  One that is not a SID is not
 * shown: it may be a secret that was put in the wrong place.
 */
static const char *
shown_user(const Endpoint *endpoint)
{
	bool is_sid = flex_sid_is_good(endpoint->user, "AC") || flex_sid_is_good(endpoint->user, "SK");

	return is_sid ? endpoint->user : "a user that is no SID (AC... or SK...)";
}

/*
 * Return, for a message, as whom requests are made, and where these credentials come from;
 * palloc'd.  NULL if they have credentials of their own.
 */
const char *
flex_endpoint_made_as(const Endpoint *endpoint)
{
	if (endpoint->authorization == NULL)
		return NULL;
	return psprintf("%s, from %s", shown_user(endpoint), endpoint->source);
}

/* Memory context callback: overwrite the secrets of an endpoint. */
static void
erase_secret(void *argument)
{
	Endpoint *endpoint = argument;

	if (endpoint->authorization != NULL)
		explicit_bzero(endpoint->authorization, strlen(endpoint->authorization));
	/* A proxy's URL may contain a password. */
	if (endpoint->proxy != NULL)
		explicit_bzero(endpoint->proxy, strlen(endpoint->proxy));
}

/*
 * Make an endpoint without credentials in the current context.  origin is kept, not copied;
 * proxy and ca_file may be empty.  For plain http, which is allowed on the loopback
 * interface only, no proxy is used: it would see the credentials.
 */
static Endpoint *
make_endpoint(char *origin, const char *proxy, const char *ca_file)
{
	Endpoint *endpoint = palloc0(sizeof(Endpoint));
	bool uses_proxy = pg_strncasecmp(origin, "http://", 7) != 0 && flex_setting_is_set(proxy);

	endpoint->erase = (MemoryContextCallback){.func = erase_secret, .arg = endpoint};
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &endpoint->erase);
	endpoint->origin = origin;
	endpoint->proxy = pstrdup(uses_proxy ? proxy : "");
	if (flex_setting_is_set(ca_file))
		endpoint->ca_file = pstrdup(ca_file);
	endpoint->timeout = FLEX_AS_SETTINGS;
	endpoint->max_retries = FLEX_AS_SETTINGS;
	return endpoint;
}

/* Set the credential of an endpoint, and erase the secret of the credential that was passed. */
static void
set_credential(Endpoint *endpoint, Credential *credential)
{
	endpoint->authorization = basic_authorization(credential);
	endpoint->user = credential->user;
	endpoint->source = credential->source;
	if (credential->account[0] != '\0')
		endpoint->account = credential->account;
	flex_credential_erase(credential);
}

/* Return the origin of a server, palloc'd: by its own options or, if it has none, by flex_api.base_url. */
static char *
origin_of_server(const ForeignServer *server)
{
	const char *url = flex_option_find(server->options, "base_url");
	const char *region = flex_option_find(server->options, "region");
	const char *edge = flex_option_find(server->options, "edge");

	if (flex_setting_is_set(url))
		return flex_origin_of_url(url);
	if (region == NULL && edge == NULL && flex_setting_is_set(flex_settings.base_url))
		return flex_origin_of_url(flex_settings.base_url);
	return flex_origin_of_region(region, edge, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION, "the server's options ");
}

/* Raise HV00N for a server or a user mapping whose options are incomplete. */
pg_noreturn static void
raise_incomplete(const ForeignServer *server, const char *missing, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
					errmsg("server \"%s\" has no %s", server->servername, missing), errhint("%s", hint)));
}

/* Return the role that a user mapping was created for, or "public". */
static const char *
owner_of_mapping(const UserMapping *mapping)
{
	bool is_own = SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(mapping->userid),
										ObjectIdGetDatum(mapping->serverid));

	return is_own ? GetUserNameFromId(mapping->userid, false) : "public";
}

/* Return the credential of a user mapping.  As in the settings, an API key takes precedence over an auth token. */
static Credential
credential_of_mapping(const ForeignServer *server, const UserMapping *mapping)
{
	const char *key = flex_option_find(mapping->options, "api_key");
	const char *token = flex_option_find(mapping->options, "auth_token");
	const char *secret = key != NULL ? flex_option_find(mapping->options, "api_secret") : token;
	const char *account = flex_option_find(server->options, "account_sid");
	const char *whose = owner_of_mapping(mapping);

	if (secret == NULL)
		raise_incomplete(server, psprintf("credentials in the user mapping for \"%s\"", whose),
						 "Give the user mapping the options api_key and api_secret, or auth_token.");
	if (key == NULL && account == NULL)
		raise_incomplete(server, "account", "Give the server the option account_sid, which an auth token needs.");
	return (Credential){
		.account = pstrdup(account != NULL ? account : ""),
		.user = pstrdup(key != NULL ? key : account),
		.secret = pstrdup(secret),
		.source = psprintf("the user mapping for \"%s\" of server \"%s\"", whose, server->servername),
	};
}

/*
 * Make the endpoint of a server, with the credential of a user mapping.  mapping is NULL if
 * the request has credentials of its own.
 */
static Endpoint *
make_endpoint_of_server(const ForeignServer *server, const UserMapping *mapping)
{
	const char *proxy = flex_option_find(server->options, "proxy");
	const char *ca_file = flex_option_find(server->options, "ca_file");
	const char *account = flex_option_find(server->options, "account_sid");
	Endpoint *endpoint = make_endpoint(origin_of_server(server), proxy != NULL ? proxy : flex_settings.proxy,
									   ca_file != NULL ? ca_file : flex_settings.ca_file);

	endpoint->account = pstrdup(account != NULL ? account : "");
	endpoint->timeout = flex_option_integer(server->options, "timeout", GUC_UNIT_MS, FLEX_AS_SETTINGS);
	endpoint->max_retries = flex_option_integer(server->options, "max_retries", 0, FLEX_AS_SETTINGS);
	if (mapping != NULL)
	{
		Credential credential = credential_of_mapping(server, mapping);

		set_credential(endpoint, &credential);
	}
	return endpoint;
}

/*
 * Return the endpoint of a foreign server for a role, with the credential of its user
 * mapping or that for PUBLIC.  Raise 42704 if there is none, HV00N if options are missing.
 */
Endpoint *
flex_endpoint_of_server(Oid server, Oid role)
{
	Endpoint *endpoint = make_endpoint_of_server(GetForeignServer(server), GetUserMapping(role, server));

	endpoint->role = role;
	return endpoint;
}

/* Return true if the session has set a credential, which takes precedence over flex_api.server. */
static bool
has_own_credential(void)
{
	return (flex_setting_is_set(flex_effective_string(&flex_settings.auth_token)) &&
			flex_effective_is_of_session(&flex_settings.auth_token)) ||
		   (flex_setting_is_set(flex_effective_string(&flex_settings.api_key)) &&
			flex_effective_is_of_session(&flex_settings.api_key));
}

/*
 * Look up a server by name, for requests of a role.  Raise 55000 with the hint if it does
 * not exist or belongs to another foreign-data wrapper; 42501 if the role lacks USAGE.
 */
static ForeignServer *
find_server(const char *name, Oid role, const char *hint)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	if (server == NULL || strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, "flex_api") != 0)
		raise_settings(psprintf("there is no server \"%s\" of the foreign-data wrapper flex_api", name), hint);
	if (flex_server_aclcheck(server->serverid, role) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, server->servername);
	return server;
}

/*
 * Return the server named by flex_api.server.  Return NULL if none is named, if the session
 * has set a credential, or if the server is for another account than the given one (NULL
 * or "" for any).  Raise the errors of find_server().
 */
static ForeignServer *
server_of_settings(Oid role, const char *account)
{
	const char *name = flex_effective_string(&flex_settings.server);
	ForeignServer *server;
	const char *own_account;

	if (!flex_setting_is_set(name) || has_own_credential())
		return NULL;
	server = find_server(name, role, "Set flex_api.server to one that is there.");
	own_account = flex_option_find(server->options, "account_sid");
	if (account != NULL && account[0] != '\0' && own_account != NULL && strcmp(account, own_account) != 0)
		return NULL;
	return server;
}

/*
 * Return the user mapping for a call.  If there is none, raise 55000, like for incomplete
 * settings, and not the 42704 that GetUserMapping() raises.
 */
static UserMapping *
mapping_of_call(const ForeignServer *server, Oid role)
{
	if (!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(server->serverid)) &&
		!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid), ObjectIdGetDatum(server->serverid)))
		raise_settings(psprintf("server \"%s\" has no user mapping for \"%s\"", server->servername,
								GetUserNameFromId(role, false)),
					   "Use CREATE USER MAPPING, or flex_user_mapping_set().");
	return GetUserMapping(role, server->serverid);
}

/*
 * Return the endpoint of a server or, if that is NULL, of the other settings.  account NULL
 * stands for flex_api.account_sid.  Without authorization no credentials are looked up.
 */
static Endpoint *
endpoint_of_call(const ForeignServer *server, Oid role, const char *account, bool with_authorization)
{
	const char *wanted = account != NULL ? account : flex_effective_string(&flex_settings.account_sid);
	Endpoint *endpoint;

	if (server != NULL)
		endpoint = make_endpoint_of_server(server, with_authorization ? mapping_of_call(server, role) : NULL);
	else
		endpoint = make_endpoint(origin_of_settings(), flex_settings.proxy, flex_settings.ca_file);
	endpoint->role = role;
	if (server != NULL)
		return endpoint;
	endpoint->account = pstrdup(wanted);
	if (with_authorization)
	{
		Credential credential = find_credential(role, wanted);

		set_credential(endpoint, &credential);
	}
	return endpoint;
}

/*
 * Return the endpoint for a request of a role, according to the settings in effect for the
 * current role, including flex_api.server.  account is NULL for the account of the settings.
 * with_authorization is false if the request has credentials of its own.  Raise 55000 if
 * the settings are incomplete or contradictory.
 */
Endpoint *
flex_endpoint_of_settings(Oid role, const char *account, bool with_authorization)
{
	return endpoint_of_call(server_of_settings(role, account), role, account, with_authorization);
}

/*
 * Return what to store as Identity.server when the current role enqueues a request for a
 * role, so that it will be sent to where a direct call would go now; palloc'd, or a
 * constant.  Raise the errors of find_server().
 */
const char *
flex_endpoint_server_to_keep(Oid role)
{
	const char *name = flex_effective_string(&flex_settings.server);
	bool is_named = flex_setting_is_set(name);

	if (is_named && !has_own_credential())
		return pstrdup(find_server(name, role, "Set flex_api.server to one that is there.")->servername);
	return is_named || flex_effective_is_of_session(&flex_settings.server) ? "" : NULL;
}

/* Return the endpoint of a request of the outbox.  Raise the errors of flex_endpoint_of_settings(), and HV00N. */
Endpoint *
flex_endpoint_of_identity(const Identity *identity, bool with_authorization)
{
	const ForeignServer *server = NULL;

	if (identity->server == NULL)
		server = server_of_settings(identity->role, identity->account_sid);
	else if (identity->server[0] != '\0')
		server = find_server(identity->server, identity->role, "Create it, or cancel the requests that name it.");
	return endpoint_of_call(server, identity->role, identity->account_sid, with_authorization);
}

/* Return the key of the rate limit that a request counts for: by account or, if that is not known, by API key. */
RateKey
flex_endpoint_rate_key(const Endpoint *endpoint, const Operation *operation)
{
	const char *account = endpoint->account;

	if (account[0] == '\0' && endpoint->authorization != NULL)
		account = shown_user(endpoint);
	return flex_rates_key(account, flex_operation_rate_index(operation));
}
