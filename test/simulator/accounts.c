/*
 * accounts.c
 *	  The accounts that the simulator serves, and the credentials by which
 *	  each is known: those that the command line gives.
 */
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "options.h"
#include "text.h"

/* What opens an account: the base64 of "user:password". */
typedef struct Credential
{
	char *base64;
	int account;
} Credential;

static Account *accounts;
static int account_count;
static Credential *credentials;
static int credential_count;

/* The base64 of "user:password". */
static char *
encode_credentials(const char *user, const char *password)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	Text plain = {0};
	Text text = {0};

	text_printf(&plain, "%s:%s", user, password);
	for (size_t i = 0; i < plain.length; i += 3)
	{
		unsigned int bits = 0;

		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 | (i + j < plain.length ? (unsigned char) plain.data[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			text_add(&text, i + j > plain.length ? "=" : &digits[bits >> (18 - 6 * j) & 63], 1);
	}
	text_free(&plain);
	return text_take(&text);
}

/* Makes a pair of user and password open an account. */
static void
add_credential(const Account *account, const char *user, const char *password)
{
	credentials = realloc(credentials, (size_t) (credential_count + 1) * sizeof(Credential));
	credentials[credential_count++] =
		(Credential){.base64 = encode_credentials(user, password), .account = account->number};
}

/* Makes the account that the options name; call it once, after they were read. */
void
accounts_start(void)
{
	accounts = calloc(1, sizeof(Account));
	accounts[account_count++] = (Account){.number = 0, .sid = must_copy(options.account)};
	add_credential(&accounts[0], options.account, options.token);
	add_credential(&accounts[0], options.key, options.secret);
}

/* How many accounts there are; they are numbered from 0. */
int
accounts_count(void)
{
	return account_count;
}

/* The account of that number. */
Account *
accounts_get(int number)
{
	return &accounts[number];
}

/* The account that the command line names. */
Account *
accounts_default(void)
{
	return &accounts[0];
}

/* The account of that SID, or NULL. */
Account *
accounts_of_sid(const char *sid)
{
	for (int i = 0; i < account_count; i++)
		if (strcmp(accounts[i].sid, sid) == 0)
			return &accounts[i];
	return NULL;
}

/* The account that these credentials open, or NULL. */
Account *
accounts_of_credentials(const char *base64)
{
	for (int i = 0; i < credential_count; i++)
		if (strcmp(credentials[i].base64, base64) == 0)
			return &accounts[credentials[i].account];
	return NULL;
}
