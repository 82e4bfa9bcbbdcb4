/*
 * credentials_file.h
 *		The credentials file, which maps roles to credentials.
 */
#ifndef FLEX_CREDENTIALS_FILE_H
#define FLEX_CREDENTIALS_FILE_H

/* A user name and its secret.  The strings are palloc'd. */
typedef struct Credential
{
	char *account; /* account SID; "" if not known, which is possible with an API key */
	char *user;    /* SID of the account or of an API key */
	char *secret;  /* the auth token or the key's secret; NULL if there is no credential */
	char *source;  /* where it comes from, for messages */
} Credential;

/* The secrets that a role may sign webhooks and access tokens with.  Those not in the file have secret NULL. */
typedef struct FileSecrets
{
	Credential key;          /* the role's first API key */
	Credential token;        /* the role's first auth token */
	Credential token_before; /* the second one of the same account and role: the former token */
} FileSecrets;

extern Credential flex_credentials_file_find(const char *path, Oid role_id, const char *account);
extern void flex_credentials_file_secrets(const char *path, Oid role_id, const char *account, FileSecrets *secrets);
extern uint64 flex_credentials_file_version(void);
extern void flex_credential_erase(Credential *credential);

#endif /* FLEX_CREDENTIALS_FILE_H */
