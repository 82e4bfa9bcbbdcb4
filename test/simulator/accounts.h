/*
 * accounts.h
 *	  The accounts that the simulator serves, each with resources and
 *	  credentials of its own, and whose credentials a request carries.
 */
#ifndef SIMULATOR_ACCOUNTS_H
#define SIMULATOR_ACCOUNTS_H

#include <json-c/json.h>
#include <stdbool.h>

#include "problem.h"
#include "text.h"

typedef struct Account
{
	int number; /* from 0 */
	char *sid;
	char *token;
	bool suspended;
	struct List *roots;     /* its resources, by the kind's number: store.c */
	json_object *documents; /* by path: documents.c */
	struct Bucket *buckets; /* by the operation's number: rates.c */
	struct Meter *meters;   /* by the operation's number, and one for all: limits.c */
} Account;

/* What opens an account. */
typedef struct Credential
{
	char *user;   /* AC.. or SK..; NULL for an Insights token */
	char *secret; /* base64 of user and password, or the token */
	char *password;
	Account *account;
	json_object *operations; /* names of those that a restricted key allows; NULL for all */
} Credential;

extern bool accounts_start(void);
extern bool accounts_change(json_object *wish, Problem *problem);
extern void accounts_write(Text *text);
extern int accounts_count(void);
extern Account *accounts_get(int number);
extern Account *accounts_of_sid(const char *sid);
extern const Credential *accounts_credential(const char *authorization, bool insights);
extern const Credential *accounts_key(const char *sid);
extern bool credential_allows(const Credential *credential, const char *operation);

#endif
