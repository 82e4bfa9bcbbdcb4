/*
 * shares.c
 *		Fairness: records when each role and each account was last served.
 *
 * One request is one turn.  (This has nothing to do with a request's own turn.)  The next
 * request is taken of the role whose last turn was longest ago; among its lanes with the
 * highest priority, of the account or server, and then of the lane, whose last turn was longest
 * ago.  All requests have the same cost, so this is equivalent to deficit round robin.  A role
 * that had nothing to send comes first, however many requests of other roles wait.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "delivery/shares.h"

/* Return a hash combined with that of a text; NULL adds nothing. */
static uint32
with_text(uint32 hash, const char *text)
{
	return text != NULL ? hash_combine(hash, string_hash(text, strlen(text) + 1)) : hash;
}

/* Hash function of the table. */
static uint32
hash_share(const void *key, Size size)
{
	const ShareKey *share = key;
	uint32 hash = hash_combine(murmurhash32((uint32) share->role_id), share->is_account);

	return with_text(with_text(hash, share->server), share->account_sid);
}

/* Return 0 if two texts are equal, or both NULL. */
static int
compare_texts(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a != b : strcmp(a, b);
}

/* Comparison function of the table: return 0 if two keys are equal. */
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

/* Return the share of a key, creating it if needed.  Its address is stable.  The key's texts are copied. */
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
	/* Copy before entering: after an out-of-memory error no entry may refer to the caller's texts. */
	copy.server = key->server != NULL ? MemoryContextStrdup(shares->context, key->server) : NULL;
	copy.account_sid = key->account_sid != NULL ? MemoryContextStrdup(shares->context, key->account_sid) : NULL;
	share = hash_search(shares->all, &copy, HASH_ENTER, NULL);
	share->served = 0;
	return share;
}

/* Return the share of a role. */
Share *
flex_shares_of_role(Shares *shares, int role_id)
{
	return find_or_add(shares, &(ShareKey){.role_id = role_id});
}

/* Return the share of a role's account or server. */
Share *
flex_shares_of_account(Shares *shares, int role_id, const char *server, const char *account_sid)
{
	ShareKey key = {.role_id = role_id, .is_account = true, .server = server, .account_sid = account_sid};

	return find_or_add(shares, &key);
}
