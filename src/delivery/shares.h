/*
 * shares.h
 *		Whose turn it is: roles, accounts and operations take turns.
 */
#ifndef FLEX_SHARES_H
#define FLEX_SHARES_H

#include "utils/hsearch.h"

/* Whose share it is. */
typedef struct ShareKey
{
	int role_id;
	bool is_account;         /* of the role; else it is the role's own */
	const char *server;      /* or NULL */
	const char *account_sid; /* or NULL */
} ShareKey;

/* What takes turns with others of its kind: a role, an account of a role, or a lane of an account. */
typedef struct Share
{
	ShareKey key;
	uint64 served; /* the number of its last turn */
} Share;

typedef struct Shares
{
	MemoryContext context;
	HTAB *all;    /* NULL: there are none yet */
	uint64 turns; /* so many have been taken */
} Shares;

extern Share *flex_shares_of_role(Shares *shares, int role_id);
extern Share *flex_shares_of_account(Shares *shares, int role_id, const char *server, const char *account_sid);

#endif /* FLEX_SHARES_H */
