/*
 * shares.h
 *		Fairness: records when each role and each account was last served.
 */
#ifndef FLEX_SHARES_H
#define FLEX_SHARES_H

#include "utils/hsearch.h"

/* Whose share it is. */
typedef struct ShareKey
{
	int role_id;
	bool is_account;         /* of an account or server of the role; false for the role itself */
	const char *server;      /* or NULL */
	const char *account_sid; /* or NULL */
} ShareKey;

/* One of those that take turns: a role, an account or server of a role, or a lane (Lane.own). */
typedef struct Share
{
	ShareKey key;
	uint64 served; /* value of Shares.turns at its last turn */
} Share;

typedef struct Shares
{
	MemoryContext context;
	HTAB *all;    /* Share by ShareKey; NULL if empty */
	uint64 turns; /* number of turns so far */
} Shares;

extern Share *flex_shares_of_role(Shares *shares, int role_id);
extern Share *flex_shares_of_account(Shares *shares, int role_id, const char *server, const char *account_sid);

#endif /* FLEX_SHARES_H */
