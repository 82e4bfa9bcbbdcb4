/*
 * shares.c
 *		Whose turn it is: roles, accounts and operations take turns.
 *
 * A turn is one request.  The role that had its last turn longest ago is next, of its
 * requests those with the highest priority, of these the account, and then the lane,
 * that had its last turn longest ago.  Requests cost the same, so that this is what
 * deficit round robin comes to; a role that has been silent is next at once, however
 * much the others have waiting.
 */
#include "postgres.h"

#include "delivery/shares.h"

static bool
same_account(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Add a share to a list. */
static Share *
add_share(MemoryContext context, Share ***list, int *count, int *room, int role_id, const char *account_sid)
{
	Share *share = MemoryContextAllocZero(context, sizeof(Share));

	if (*count == *room)
	{
		*room = Max(*room * 2, 8);
		*list = *list == NULL ? MemoryContextAlloc(context, sizeof(Share *) * *room)
							  : repalloc(*list, sizeof(Share *) * *room);
	}
	share->role_id = role_id;
	share->account_sid = account_sid != NULL ? MemoryContextStrdup(context, account_sid) : NULL;
	(*list)[(*count)++] = share;
	return share;
}

/* The share of a role. */
Share *
flex_shares_of_role(Shares *shares, int role_id)
{
	for (int i = 0; i < shares->roles_count; i++)
	{
		if (shares->roles[i]->role_id == role_id)
			return shares->roles[i];
	}
	return add_share(shares->context, &shares->roles, &shares->roles_count, &shares->roles_room, role_id, NULL);
}

/* The share of an account within its role's. */
Share *
flex_shares_of_account(Shares *shares, int role_id, const char *account_sid)
{
	for (int i = 0; i < shares->accounts_count; i++)
	{
		if (shares->accounts[i]->role_id == role_id && same_account(shares->accounts[i]->account_sid, account_sid))
			return shares->accounts[i];
	}
	return add_share(shares->context, &shares->accounts, &shares->accounts_count, &shares->accounts_room, role_id,
					 account_sid);
}
