/*
 * endpoint.c
 *		Where a request goes, and as whom: from the settings, or from a foreign server.
 *
 * An endpoint is made once per request or scan, and nothing else in http/ asks for an
 * address, a proxy, the file of authorities or a secret to send.
 *
 * Credentials that the session has set go before the server that flex_api.server names,
 * that before other settings, and those before the file.  A server has the credentials of
 * its user mapping and no others; its account and its region are its own, too, and never
 * the session's.  What a superuser alone can set (base_url, proxy, ca_file) is also what a
 * server has that does not say otherwise.
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
 * Scheme, host, port and path that are put before the path of each request,
 * without a slash at the end, with {service} where a product's name goes.  Raises 55000
 * for a region whose edge is not known.
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
 * Scheme, host, port and path that are put before the path of a request to a product.
 * Raises 55000 where an address is configured that is the Flex API's alone: a request to
 * another product must reach neither that nor, with what is meant for a gateway or a
 * simulator, the product itself.
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

/* Raise 55000 for settings that do not make a credential. */
pg_noreturn static void
raise_settings(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg_internal("%s", message), errhint("%s", hint)));
}

/* Where a setting that counts for this call comes from. */
static char *
source_of_setting(const char *name, const void *variable)
{
	return psprintf("%s, which %s set", name,
					flex_effective_is_of_session(variable) ? "the session has" : "the server or the database has");
}

/*
 * The credential that the settings make, or one without a secret where they make
 * none.  An API key goes before the auth token, which has other uses, too, and may be
 * set beside it.
 */
static Credential
credential_of_settings(void)
{
	const char *token = flex_effective_string(&flex_settings.auth_token);
	const char *key = flex_effective_string(&flex_settings.api_key);
	const char *secret = flex_effective_string(&flex_settings.api_secret);
	const char *account = flex_effective_string(&flex_settings.account_sid);

	/* A token that the session has given itself is for this call; a key that all have is not. */
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
			.source = source_of_setting("flex_api.api_key", &flex_settings.api_key),
		};
	if (!flex_setting_is_set(token))
		return (Credential){0};
	if (!flex_setting_is_set(account))
		raise_settings("an auth token is set without its account", "Set flex_api.account_sid.");
	return (Credential){
		.account = pstrdup(account),
		.user = pstrdup(account),
		.secret = pstrdup(token),
		.source = source_of_setting("flex_api.auth_token", &flex_settings.auth_token),
	};
}

/*
 * As whom a role's request is made: as the settings say that count for a call of the
 * current role, or as the file says of the role.  For another account than that of the
 * settings, only the file can help.  Raises 55000 when there are no credentials or they
 * contradict each other.
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

/* The header's value for a user and a secret. */
static char *
basic_authorization(const Credential *credential)
{
	char *plain = psprintf("%s:%s", credential->user, credential->secret);
	int length = strlen(plain);
	int room = pg_b64_enc_len(length) + 1;
	char *value = palloc(room + 6);
	int written;

	memcpy(value, "Basic ", 6);
	written = pg_b64_encode((const void *) plain, length, value + 6, room);
	explicit_bzero(plain, length);
	pfree(plain);
	if (written < 0)
		elog(ERROR, "could not encode credentials");
	value[6 + written] = '\0';
	return value;
}

/*
 * As whom a request is made, for a message.  A user that is no SID is not told: it can be
 * a secret that stands in the wrong place.
 */
static char *
describe_credential(const Credential *credential)
{
	bool is_sid = flex_sid_is_good(credential->user, "AC") || flex_sid_is_good(credential->user, "SK");

	return psprintf("%s, from %s", is_sid ? credential->user : "a user that is no SID (AC... or SK...)",
					credential->source);
}

/* Leave nothing of the secret in memory; a context's reset calls this. */
static void
erase_secret(void *argument)
{
	Endpoint *endpoint = argument;

	if (endpoint->authorization != NULL)
		explicit_bzero(endpoint->authorization, strlen(endpoint->authorization));
	/* It can have a password in it. */
	if (endpoint->proxy != NULL)
		explicit_bzero(endpoint->proxy, strlen(endpoint->proxy));
}

/*
 * An endpoint in the current context, without credentials.  proxy and ca_file may be empty.
 * Plain http is for this machine alone, and would show a proxy the credentials.
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

/* Have requests made with a credential, which is erased. */
static void
set_credential(Endpoint *endpoint, Credential *credential)
{
	endpoint->authorization = basic_authorization(credential);
	endpoint->made_as = describe_credential(credential);
	if (credential->account[0] != '\0')
		endpoint->account = credential->account;
	flex_credential_erase(credential);
}

/* The origin of a server: what it says itself, or else the base URL of the settings. */
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

/* Raise HV00N for a server or a mapping whose options do not make a credential. */
pg_noreturn static void
raise_incomplete(const ForeignServer *server, const char *missing, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
					errmsg("server \"%s\" has no %s", server->servername, missing), errhint("%s", hint)));
}

/* The role that a mapping was made for, which may be the one for all. */
static const char *
owner_of_mapping(const UserMapping *mapping)
{
	bool is_own = SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(mapping->userid),
										ObjectIdGetDatum(mapping->serverid));

	return is_own ? GetUserNameFromId(mapping->userid, false) : "public";
}

/* The credential of a user mapping; an API key goes before the auth token, as in the settings. */
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

/* The endpoint of a server, with the credential of a mapping; NULL: the request brings its own. */
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
 * The endpoint of a foreign server for a role, by its user mapping or the one for PUBLIC.
 * Raises 42704 when there is none, HV00N when the options do not say enough.
 */
Endpoint *
flex_endpoint_of_server(Oid server, Oid role)
{
	Endpoint *endpoint = make_endpoint_of_server(GetForeignServer(server), GetUserMapping(role, server));

	endpoint->role = role;
	return endpoint;
}

/* True when the session has set a credential for calls of the current role, which goes before a server's. */
static bool
has_own_credential(void)
{
	return (flex_setting_is_set(flex_effective_string(&flex_settings.auth_token)) &&
			flex_effective_is_of_session(&flex_settings.auth_token)) ||
		   (flex_setting_is_set(flex_effective_string(&flex_settings.api_key)) &&
			flex_effective_is_of_session(&flex_settings.api_key));
}

/*
 * The server of a name, for a role's requests.  Raises 55000 for one that is not there or
 * another wrapper's, 42501 without USAGE on it.
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
 * The server that flex_api.server names for a call of this role, to that account (NULL:
 * any), or NULL.  Raises what find_server() raises.
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

/* The user mapping by which a call is made; raises 55000 where there is none, which can be mended. */
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

/* The endpoint of a server, or that of the other settings where there is none. */
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
 * The endpoint of a role's request, as the settings have it that count for a call of
 * the current role, or the server that they name.  account NULL means the one that they
 * name.  Raises 55000 when they do not say enough, or contradict each other.
 */
Endpoint *
flex_endpoint_of_settings(Oid role, const char *account, bool with_authorization)
{
	return endpoint_of_call(server_of_settings(role, account), role, account, with_authorization);
}

/*
 * The server that a request has to keep which the current role enqueues for a role, as
 * Identity has it: a direct call would go there.  Raises what find_server() raises.
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

/* The endpoint of a request that was enqueued; raises what flex_endpoint_of_settings() raises, and HV00N. */
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

/*
 * Whose rate a request counts for: the account's, or where that is not known the API
 * key's, which is what made_as begins with.
 */
RateKey
flex_endpoint_rate_key(const Endpoint *endpoint, const Operation *operation)
{
	char name[NAMEDATALEN];
	const char *account = endpoint->account;

	if (account[0] == '\0' && endpoint->made_as != NULL)
	{
		strlcpy(name, endpoint->made_as, Min(sizeof(name), strcspn(endpoint->made_as, ",") + 1));
		account = name;
	}
	return flex_rates_key(account, flex_operation_rate_index(operation));
}
