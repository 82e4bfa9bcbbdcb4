/*
 * shares.h
 *		Whose turn it is: roles, accounts and operations take turns.
 */
#ifndef FLEX_SHARES_H
#define FLEX_SHARES_H

/* What takes turns with others of its kind: a role, an account of a role, or a lane of an account. */
typedef struct Share
{
	int role_id;
	const char *account_sid; /* NULL in the share of a role */
	uint64 served;           /* the number of its last turn */
} Share;

typedef struct Shares
{
	MemoryContext context;
	Share **roles;
	int roles_count;
	int roles_room;
	Share **accounts;
	int accounts_count;
	int accounts_room;
	uint64 turns; /* so many have been taken */
} Shares;

extern Share *flex_shares_of_role(Shares *shares, int role_id);
extern Share *flex_shares_of_account(Shares *shares, int role_id, const char *account_sid);

#endif /* FLEX_SHARES_H */
