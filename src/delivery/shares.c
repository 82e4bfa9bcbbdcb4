/*
 * shares.c
 *		Whose turn it is: roles, accounts and operations take turns.
 *
 * A turn is one request.  The role that had its last turn longest ago is next, of its
 * requests those with the highest priority, of these the account or server, and then the lane,
 * that had its last turn longest ago.  Requests cost the same, so that this is what
 * deficit round robin comes to; a role that has been silent is next at once, however
 * much the others have waiting.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "delivery/shares.h"

/* A text added to a hash; NULL adds nothing. */
static uint32
with_text(uint32 hash, const char *text)
{
	return text != NULL ? hash_combine(hash, string_hash(text, strlen(text) + 1)) : hash;
}

static uint32
hash_share(const void *key, Size size)
{
	const ShareKey *share = key;
	uint32 hash = hash_combine(murmurhash32((uint32) share->role_id), share->is_account);

	return with_text(with_text(hash, share->server), share->account_sid);
}

/* 0 when two texts are the same, or both NULL. */
static int
compare_texts(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a != b : strcmp(a, b);
}

/* 0 when two keys are the same. */
static int
compare_shares(const void *a, const void *b, Size size)
{
	const ShareKey *left = a;
	const ShareKey *right = b;

	if (left->role_id != right->role_id || left->is_account != right->is_account)
		return 1;
	return compare_texts(left->server, right->server) != 0 ? 1 : compare_texts(left->account_sid, right->account_sid);
}

static HTAB *
create_table(MemoryContext context)
{
	HASHCTL control = {
		.keysize = sizeof(ShareKey),
		.entrysize = sizeof(Share),
		.hash = hash_share,
		.match = compare_shares,
		.hcxt = context,
	};

	return hash_create("flex_api shares", 64, &control, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

/* The share of a key, which stays where it is; the key's texts are copied. */
static Share *
find_or_add(Shares *shares, const ShareKey *key)
{
	ShareKey copy = *key;
	Share *share;

	if (shares->all == NULL)
		shares->all = create_table(shares->context);
	share = hash_search(shares->all, key, HASH_FIND, NULL);
	if (share != NULL)
		return share;
	/* Before it is put in: there must be no share whose texts are the caller's. */
	copy.server = key->server != NULL ? MemoryContextStrdup(shares->context, key->server) : NULL;
	copy.account_sid = key->account_sid != NULL ? MemoryContextStrdup(shares->context, key->account_sid) : NULL;
	share = hash_search(shares->all, &copy, HASH_ENTER, NULL);
	share->served = 0;
	return share;
}

/* The share of a role. */
Share *
flex_shares_of_role(Shares *shares, int role_id)
{
	return find_or_add(shares, &(ShareKey){.role_id = role_id});
}

/* The share of an account, or of a server, within its role's. */
Share *
flex_shares_of_account(Shares *shares, int role_id, const char *server, const char *account_sid)
{
	ShareKey key = {.role_id = role_id, .is_account = true, .server = server, .account_sid = account_sid};

	return find_or_add(shares, &key);
}
