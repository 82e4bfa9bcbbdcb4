/*
 * credentials_file.h
 *		The file that says as whom each role's requests are made.
 */
#ifndef FLEX_CREDENTIALS_FILE_H
#define FLEX_CREDENTIALS_FILE_H

/* As whom requests are made; the strings are palloc'd. */
typedef struct Credential
{
	char *account; /* "": not told, which an API key allows */
	char *user;    /* the account's SID or an API key's */
	char *secret;  /* the auth token or the key's secret; NULL: there is no credential */
	char *source;  /* where it comes from, for a message */
} Credential;

/* What signs: all that the file has for a role besides the line that its calls use. */
typedef struct FileSecrets
{
	Credential key;          /* its first API key */
	Credential token;        /* its first auth token */
	Credential token_before; /* the second, of the same account and role */
} FileSecrets;

extern Credential flex_credentials_file_find(const char *path, Oid role_id, const char *account);
extern void flex_credentials_file_secrets(const char *path, Oid role_id, const char *account, FileSecrets *secrets);
extern uint64 flex_credentials_file_version(void);
extern void flex_credential_erase(Credential *credential);

#endif /* FLEX_CREDENTIALS_FILE_H */
