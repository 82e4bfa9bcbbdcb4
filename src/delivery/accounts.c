/*
 * accounts.c
 *		Which account a role's requests are made as, for the rate that they have.
 *
 * Before a request is claimed it has to be known whether its account has a turn.  Where it
 * names no account, the role's credentials say; to look for them costs a look at a file, so
 * what was found is kept for a second.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "delivery/accounts.h"
#include "http/endpoint.h"

#define KEPT_MS 1000
#define MOST_KNOWN 1000

/* Whose requests they are, and for which account; two words, so that there is nothing between them. */
typedef struct Source
{
	uint64 role;
	uint64 account_sid; /* a hash; of the empty text, where none is named */
} Source;

typedef struct KnownAccount
{
	Source source;
	RateKey rate;   /* the account's, whatever the operation */
	int64 found_at; /* flex_clock_ms() */
} KnownAccount;

static HTAB *known; /* NULL: nothing yet */

/*
 * The account that a role's requests are made as.  Without credentials it is the one that
 * they name: what cannot be sent uses up nobody else's rate.
 */
static RateKey
find_account(Oid role, const char *account_sid, const Operation *operation)
{
	MemoryContext before = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(before, "flex_api account", ALLOCSET_SMALL_SIZES);
	RateKey volatile key = flex_rates_key(account_sid != NULL ? account_sid : "", 0);
	Oid user;
	int security;

	GetUserIdAndSecContext(&user, &security);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		SetUserIdAndSecContext(GetOuterUserId(), security);
		key = flex_endpoint_rate_key(flex_endpoint_of_settings(role, account_sid, true), operation);
	}
	PG_CATCH();
	{
		SetUserIdAndSecContext(user, security);
		MemoryContextSwitchTo(context);
		if (geterrcode() == ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	SetUserIdAndSecContext(user, security);
	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
	return key;
}

/* What a role's requests to an operation count for; account_sid NULL: they name no account. */
RateKey
flex_accounts_rate_key(Oid role, const char *account_sid, const Operation *operation)
{
	HASHCTL control = {.keysize = sizeof(Source), .entrysize = sizeof(KnownAccount), .hcxt = TopMemoryContext};
	Source source = {
		.role = role,
		.account_sid = flex_rates_key(account_sid != NULL ? account_sid : "", 0).account,
	};
	KnownAccount *account;
	RateKey rate;
	bool found;

	if (known != NULL && hash_get_num_entries(known) >= MOST_KNOWN)
	{
		hash_destroy(known);
		known = NULL;
	}
	if (known == NULL)
		known = hash_create("flex_api accounts", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	account = hash_search(known, &source, HASH_ENTER, &found);
	if (!found || flex_clock_ms() - account->found_at >= KEPT_MS)
	{
		/* Should that be cancelled, the entry has to be looked for again. */
		account->found_at = flex_clock_ms() - KEPT_MS;
		account->rate = find_account(role, account_sid, operation);
		account->found_at = flex_clock_ms();
	}
	rate = account->rate;
	rate.operation = flex_operation_rate_index(operation);
	return rate;
}
