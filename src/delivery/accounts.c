/*
 * accounts.c
 *		A cache of the accounts for which roles' requests are made, with their rates and routes.
 *
 * Before a request is claimed, the sender must know whether the rate limit of its account
 * allows it, and whether a hold applies.  If the request names no account, its server or the
 * role's credentials determine it.  Looking these up reads the catalog and the credentials
 * file, so the result is kept for a second.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/attempt.h"
#include "base/clock.h"
#include "delivery/accounts.h"
#include "http/endpoint.h"
#include "request/services.h"

#define KEPT_MS 1000
#define MOST_KNOWN 1000

/* An Identity, as a key of the cache.  All fields have the same size, so there is no padding. */
typedef struct Source
{
	uint64 role;
	uint64 has_server;  /* 1 if a server is named, even by an empty name */
	uint64 server;      /* hash of its name, or of the empty text */
	uint64 account_sid; /* likewise */
} Source;

typedef struct KnownAccount
{
	Source source;
	RateKey rate;     /* of the account; its operation is that of the first lookup, and not used */
	Route route;      /* to the Flex API; zeros if there are no credentials */
	bool is_sendable; /* there are credentials */
	int64 found_at;   /* flex_clock_ms() of the lookup */
	uint64 holds;     /* flex_holds_found() at that time */
} KnownAccount;

static HTAB *known; /* KnownAccount by Source; NULL if empty */

/* Arguments of look_for_account(). */
typedef struct Search
{
	KnownAccount *account;
	const Identity *identity;
	const Operation *operation;
} Search;

/* Look up the account and the route.  Raises an error if there are no credentials. */
static void
look_for_account(void *argument)
{
	const Search *search = argument;
	const Endpoint *endpoint;
	Oid user;
	int security;

	/* We have the rights of the outbox's owner; settings are to be read with those of the sender's session. */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(GetOuterUserId(), security);
	endpoint = flex_endpoint_of_identity(search->identity, true);
	search->account->rate = flex_endpoint_rate_key(endpoint, search->operation);
	search->account->route = flex_holds_route(endpoint, FLEX_SERVICE);
	SetUserIdAndSecContext(user, security);
}

/*
 * Fill in the account, the route, and whether there are credentials.  If there are none, the
 * account is the one that the requests name, so that they do not use up another account's rate.
 */
static void
find_account(KnownAccount *account, const Identity *identity, const Operation *operation)
{
	MemoryContext before = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(before, "flex_api account", ALLOCSET_SMALL_SIZES);
	Search search = {.account = account, .identity = identity, .operation = operation};

	account->rate = flex_rates_key(identity->account_sid != NULL ? identity->account_sid : "", 0);
	account->route = (Route){0};
	MemoryContextSwitchTo(context);
	account->is_sendable = flex_attempt(look_for_account, &search) == NULL;
	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
}

/* Return a hash of a text; NULL counts as the empty text. */
static uint64
hash_of(const char *text)
{
	return flex_rates_key(text != NULL ? text : "", 0).account;
}

/* Return the cache's entry for an identity, after looking it up if there is none or it is too old. */
static const KnownAccount *
get_account(const Identity *identity, const Operation *operation)
{
	HASHCTL control = {.keysize = sizeof(Source), .entrysize = sizeof(KnownAccount), .hcxt = TopMemoryContext};
	Source source = {
		.role = identity->role,
		.has_server = identity->server != NULL,
		.server = hash_of(identity->server),
		.account_sid = hash_of(identity->account_sid),
	};
	KnownAccount *account;
	bool found;

	if (known != NULL && hash_get_num_entries(known) >= MOST_KNOWN)
	{
		hash_destroy(known);
		known = NULL;
	}
	if (known == NULL)
		known = hash_create("flex_api accounts", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	account = hash_search(known, &source, HASH_ENTER, &found);
	if (!found || flex_clock_ms() - account->found_at >= KEPT_MS || account->holds != flex_holds_found())
	{
		/* If the lookup is cancelled, the entry must count as too old. */
		account->found_at = flex_clock_ms() - KEPT_MS;
		find_account(account, identity, operation);
		account->found_at = flex_clock_ms();
		account->holds = flex_holds_found();
	}
	return account;
}

/* Return the route of an identity's requests of an operation. */
Route
flex_accounts_route(const Identity *identity, const Operation *operation)
{
	Route route = get_account(identity, operation)->route;

	/* A custom request may go to any product; to which one is not known before the request has been made. */
	if (operation->custom)
		route.network = 0;
	return route;
}

/* Return the key of the rate limit for an identity's requests of an operation. */
RateKey
flex_accounts_rate_key(const Identity *identity, const Operation *operation)
{
	RateKey rate = get_account(identity, operation)->rate;

	rate.operation = flex_operation_rate_index(operation);
	return rate;
}

/* Return true if there are credentials for an identity.  The information may be a second old. */
bool
flex_accounts_is_sendable(const Identity *identity, const Operation *operation)
{
	return get_account(identity, operation)->is_sendable;
}
