/*
 * accounts.c
 *		Which account a role's requests are made as, for their rate and their route.
 *
 * Before a request is claimed it has to be known whether its account has a turn, and whether
 * something holds it back.  Where it names no account, its server or the role's credentials
 * say; to look for them costs a look at a file, so what was found is kept for a second.
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

/* An identity; words, so that there is nothing between them. */
typedef struct Source
{
	uint64 role;
	uint64 has_server;  /* where it is named, which may be the empty one */
	uint64 server;      /* a hash; of the empty text, where none is named */
	uint64 account_sid; /* the same */
} Source;

typedef struct KnownAccount
{
	Source source;
	RateKey rate;     /* the account's, whatever the operation */
	Route route;      /* to the Flex API; zeros: not known */
	bool is_sendable; /* there are credentials for it */
	int64 found_at;   /* flex_clock_ms() */
	uint64 holds;     /* flex_holds_found() at that time */
} KnownAccount;

static HTAB *known; /* NULL: nothing yet */

/* What is looked for, and what is found. */
typedef struct Search
{
	KnownAccount *account;
	const Identity *identity;
	const Operation *operation;
} Search;

/* Look for the account and the route; raises where there are no credentials. */
static void
look_for_account(void *argument)
{
	const Search *search = argument;
	const Endpoint *endpoint;
	Oid user;
	int security;

	/* The settings are the sender's, which has the rights of the outbox's owner here. */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(GetOuterUserId(), security);
	endpoint = flex_endpoint_of_identity(search->identity, true);
	search->account->rate = flex_endpoint_rate_key(endpoint, search->operation);
	search->account->route = flex_holds_route(endpoint, FLEX_SERVICE);
	SetUserIdAndSecContext(user, security);
}

/*
 * Find the account that a role's requests are made as, and their route.  Without credentials
 * it is the one that they name: what cannot be sent uses up nobody else's rate.
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

/* A text as a number; NULL as the empty one. */
static uint64
hash_of(const char *text)
{
	return flex_rates_key(text != NULL ? text : "", 0).account;
}

/* What is known of an identity's requests. */
static const KnownAccount *
know(const Identity *identity, const Operation *operation)
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
		/* Should that be cancelled, the entry has to be looked for again. */
		account->found_at = flex_clock_ms() - KEPT_MS;
		find_account(account, identity, operation);
		account->found_at = flex_clock_ms();
		account->holds = flex_holds_found();
	}
	return account;
}

/* The route of an identity's requests to an operation. */
Route
flex_accounts_route(const Identity *identity, const Operation *operation)
{
	Route route = know(identity, operation)->route;

	/* Which product it is for is known when the request is made. */
	if (operation->custom)
		route.network = 0;
	return route;
}

/* What an identity's requests to an operation count for. */
RateKey
flex_accounts_rate_key(const Identity *identity, const Operation *operation)
{
	RateKey rate = know(identity, operation)->rate;

	rate.operation = flex_operation_rate_index(operation);
	return rate;
}

/* True when there are credentials for an identity, as of a second ago at most. */
bool
flex_accounts_is_sendable(const Identity *identity, const Operation *operation)
{
	return know(identity, operation)->is_sendable;
}
