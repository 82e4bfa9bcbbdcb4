/*
 * signing.h
 *		The secrets that tokens and webhooks are signed with.
 */
#ifndef FLEX_SIGNING_H
#define FLEX_SIGNING_H

#define FLEX_MOST_TOKENS 2

/* An API key with its account. */
typedef struct SigningKey
{
	char *sid;
	char *secret;
	char *account;
} SigningKey;

extern void flex_signing_tokens(Oid role, char *tokens[FLEX_MOST_TOKENS + 1]);
extern SigningKey flex_signing_key(Oid role);

#endif /* FLEX_SIGNING_H */
