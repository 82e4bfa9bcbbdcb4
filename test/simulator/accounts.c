/*
 * accounts.c
 *	  The accounts that the simulator serves, and what opens each of them: its
 *	  auth token, its API keys, and a token for Insights. They come from the
 *	  command line, from a file, or from control requests, and stay until the
 *	  simulator ends; what they hold is emptied by a reset.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "accounts.h"
#include "documents.h"
#include "facts.h"
#include "json_file.h"
#include "json_text.h"
#include "options.h"
#include "store.h"
#include "text.h"

static Account **accounts;
static int account_count;
static Credential **credentials;
static size_t credential_count;

/* The base64 of "user:password". */
static char *
encode_credentials(const char *user, const char *password)
{
	Text plain = {0};
	Text text = {0};

	text_printf(&plain, "%s:%s", user, password);
	text_add_base64(&text, plain.data, plain.length);
	text_free(&plain);
	return text_take(&text);
}

/* Makes user and password, or a token of Insights where there is no user, open an account. */
static void
add_credential(Account *account, const char *user, const char *password, json_object *operations)
{
	Credential *credential = must_allocate(sizeof(Credential));

	*credential = (Credential){.user = user ? must_copy(user) : NULL,
							   .secret = user ? encode_credentials(user, password) : must_copy(password),
							   .password = must_copy(password),
							   .account = account,
							   .operations = json_object_get(operations)};
	credentials = must_resize(credentials, (credential_count + 1) * sizeof(Credential *));
	credentials[credential_count++] = credential;
}

/* Makes credentials of an account open nothing any more: those of a kind of user, or Insights tokens. */
static void
drop_credentials(const Account *account, const char *prefix)
{
	size_t kept = 0;

	for (size_t i = 0; i < credential_count; i++)
	{
		Credential *credential = credentials[i];
		bool same = prefix == NULL ? credential->user == NULL
								   : credential->user != NULL && strncmp(credential->user, prefix, 2) == 0;

		if (credential->account != account || !same)
		{
			credentials[kept++] = credential;
			continue;
		}
		json_object_put(credential->operations);
		free(credential->user);
		free(credential->secret);
		free(credential->password);
		free(credential);
	}
	credential_count = kept;
}

/* Adds an account that has what every account has at the start. */
static Account *
add_account(const char *sid)
{
	Account *account = calloc(1, sizeof(Account));

	account->number = account_count;
	account->sid = must_copy(sid);
	accounts = must_resize(accounts, (size_t) (account_count + 1) * sizeof(Account *));
	accounts[account_count++] = account;
	store_open(account);
	documents_reset(account);
	return account;
}

/* Sets the auth token, which the account's own SID as user needs. */
static void
set_token(Account *account, const char *token)
{
	free(account->token);
	account->token = must_copy(token);
	drop_credentials(account, "AC");
	add_credential(account, account->sid, token, NULL);
}

/* Whether the text is a SID of that prefix. */
static bool
is_sid(const char *text, const char *prefix)
{
	return text != NULL && strlen(text) == SID_LENGTH && strncmp(text, prefix, 2) == 0 &&
		   strspn(text + 2, "0123456789abcdefABCDEF") == SID_LENGTH - 2;
}

/* Whether a key belongs to another account. */
static bool
is_taken(const char *key, const Account *account)
{
	for (size_t i = 0; i < credential_count; i++)
		if (credentials[i]->user != NULL && strcmp(credentials[i]->user, key) == 0 &&
			credentials[i]->account != account)
			return true;
	return false;
}

/* Checks one API key: {"sid":"SK..","secret":"..","operations":["flex_channels_list"]}. */
static bool
check_key(json_object *key, const Account *account, Problem *problem)
{
	json_object *operations = json_member(key, "operations");

	if (!json_object_is_type(key, json_type_object))
		return problem_note(problem, "", "a key must be an object with sid and secret");
	json_object_object_foreach(key, name, value)
	{
		(void) value;
		if (strcmp(name, "sid") != 0 && strcmp(name, "secret") != 0 && strcmp(name, "operations") != 0)
			return problem_note(problem, name, "a key has sid, secret and operations, nothing else");
	}
	if (!is_sid(json_text_member(key, "sid"), "SK"))
		return problem_note(problem, "sid", "a key's SID is SK and 32 hexadecimal digits");
	if (is_taken(json_text_member(key, "sid"), account))
		return problem_note(problem, "sid", "another account has this key");
	if (json_text_member(key, "secret") == NULL)
		return problem_note(problem, "secret", "a key needs a secret, a string");
	if (operations != NULL && !json_object_is_type(operations, json_type_array))
		return problem_note(problem, "operations", "must be an array of operations' names");
	for (size_t i = 0; operations != NULL && i < json_object_array_length(operations); i++)
	{
		json_object *operation = json_object_array_get_idx(operations, i);

		if (!json_object_is_type(operation, json_type_string) ||
			facts_operation_named(json_object_get_string(operation)) == NULL)
		{
			problem_note(problem, "", "no such operation");
			problem_within(problem, "operations[%zu]", i);
			return false;
		}
	}
	return true;
}

/* Checks the keys of an account that may not be there yet. */
static bool
check_keys(json_object *keys, const Account *account, Problem *problem)
{
	if (keys == NULL)
		return true;
	if (!json_object_is_type(keys, json_type_array))
		return problem_note(problem, "keys", "must be an array of keys");
	for (size_t i = 0; i < json_object_array_length(keys); i++)
		if (!check_key(json_object_array_get_idx(keys, i), account, problem))
		{
			problem_within(problem, "keys[%zu]", i);
			return false;
		}
	return true;
}

/* Checks one account as it is wished; a new one needs a token. */
static bool
check_account(json_object *wish, Problem *problem)
{
	const char *sid = json_text_member(wish, "account_sid");
	const char *status = json_text_member(wish, "status");

	if (!json_object_is_type(wish, json_type_object))
		return problem_note(problem, "", "an account must be an object");
	json_object_object_foreach(wish, name, value)
	{
		bool text = strcmp(name, "account_sid") == 0 || strcmp(name, "auth_token") == 0 ||
					strcmp(name, "insights_token") == 0 || strcmp(name, "status") == 0;

		if (!text && strcmp(name, "keys") != 0)
			return problem_note(problem, name,
								"an account has account_sid, auth_token, keys, insights_token and status");
		if (text && !json_object_is_type(value, json_type_string))
			return problem_note(problem, name, "must be a string");
	}
	if (!is_sid(sid, "AC"))
		return problem_note(problem, "account_sid", "an account's SID is AC and 32 hexadecimal digits");
	if (accounts_of_sid(sid) == NULL && json_text_member(wish, "auth_token") == NULL)
		return problem_note(problem, "auth_token", "an account needs an auth token");
	if (status != NULL && strcmp(status, "active") != 0 && strcmp(status, "suspended") != 0)
		return problem_note(problem, "status", "must be active or suspended");
	return check_keys(json_member(wish, "keys"), accounts_of_sid(sid), problem);
}

/* Adds an account, or changes what is named of one that is there; it was checked. */
static void
change_account(json_object *wish)
{
	const char *sid = json_text_member(wish, "account_sid");
	const char *token = json_text_member(wish, "auth_token");
	const char *insights = json_text_member(wish, "insights_token");
	const char *status = json_text_member(wish, "status");
	json_object *keys = json_member(wish, "keys");
	Account *account = accounts_of_sid(sid);

	if (account == NULL)
		account = add_account(sid);
	if (token != NULL)
		set_token(account, token);
	if (status != NULL)
		account->suspended = strcmp(status, "suspended") == 0;
	if (insights != NULL)
	{
		drop_credentials(account, NULL);
		add_credential(account, NULL, insights, NULL);
	}
	if (keys != NULL)
		drop_credentials(account, "SK");
	for (size_t i = 0; keys != NULL && i < json_object_array_length(keys); i++)
	{
		json_object *key = json_object_array_get_idx(keys, i);

		add_credential(account, json_text_member(key, "sid"), json_text_member(key, "secret"),
					   json_member(key, "operations"));
	}
}

/*
 * Adds or changes the accounts of {"accounts":[...]}, all of them or, where one
 * is wrong, none; false, with the problem, then.
 */
bool
accounts_change(json_object *wish, Problem *problem)
{
	json_object *list = json_member(wish, "accounts");

	if (!json_object_is_type(list, json_type_array))
		return problem_note(problem, "accounts", "must be an array of accounts");
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (!check_account(json_object_array_get_idx(list, i), problem))
		{
			problem_within(problem, "accounts[%zu]", i);
			return false;
		}
	for (size_t i = 0; i < json_object_array_length(list); i++)
		change_account(json_object_array_get_idx(list, i));
	return true;
}

/* Reads the accounts of a file; false, with a message, if that is not possible. */
static bool
read_accounts(const char *file)
{
	json_object *wish = json_read_file(file);
	Problem problem;
	bool done = wish != NULL && accounts_change(wish, &problem);

	if (wish != NULL && !done)
		fprintf(stderr, "flex_simulator: %s: %s: %s\n", file, problem.where, problem.what);
	else if (done && account_count == 0)
		fprintf(stderr, "flex_simulator: %s: there is no account in it\n", file);
	json_object_put(wish);
	return done && account_count > 0;
}

/*
 * Makes the accounts that the options name; call it once, after they were
 * read. A file of accounts takes the place of the one that is there otherwise.
 */
bool
accounts_start(void)
{
	Account *account;

	if (options.accounts != NULL)
		return read_accounts(options.accounts);
	account = add_account(options.account);
	set_token(account, options.token);
	add_credential(account, options.key, options.secret, NULL);
	add_credential(account, NULL, "insights-token", NULL);
	return true;
}

/* Writes the accounts, without their secrets. */
void
accounts_write(Text *text)
{
	text_add_string(text, "{\"accounts\":[");
	for (int i = 0; i < account_count; i++)
	{
		const char *comma = "";

		text_printf(text, "%s{\"account_sid\":\"%s\",\"status\":\"%s\",\"keys\":[", i ? "," : "", accounts[i]->sid,
					accounts[i]->suspended ? "suspended" : "active");
		for (size_t j = 0; j < credential_count; j++)
			if (credentials[j]->account == accounts[i] && credentials[j]->user != NULL &&
				credentials[j]->user[0] == 'S')
			{
				text_add_string(text, comma);
				text_add_json_string(text, credentials[j]->user);
				comma = ",";
			}
		text_add_string(text, "]}");
	}
	text_add_string(text, "]}");
}

/* How many accounts there are; they are numbered from 0. */
int
accounts_count(void)
{
	return account_count;
}

/* The account of that number; 0 is the one that is meant where none is named. */
Account *
accounts_get(int number)
{
	return accounts[number];
}

/* The account of that SID, or NULL. */
Account *
accounts_of_sid(const char *sid)
{
	for (int i = 0; i < account_count; i++)
		if (strcmp(accounts[i]->sid, sid) == 0)
			return accounts[i];
	return NULL;
}

/* What a header Authorization opens, or NULL; Insights also takes a token of its own. */
const Credential *
accounts_credential(const char *authorization, bool insights)
{
	bool basic = authorization != NULL && strncasecmp(authorization, "Basic ", 6) == 0;
	bool bearer = authorization != NULL && insights && strncmp(authorization, "Bearer ", 7) == 0;

	for (size_t i = 0; (basic || bearer) && i < credential_count; i++)
		if ((credentials[i]->user != NULL) == basic &&
			strcmp(credentials[i]->secret, authorization + (basic ? 6 : 7)) == 0)
			return credentials[i];
	return NULL;
}

/* An API key by its SID, or NULL. */
const Credential *
accounts_key(const char *sid)
{
	for (size_t i = 0; i < credential_count; i++)
		if (credentials[i]->user != NULL && strncmp(sid, "SK", 2) == 0 && strcmp(credentials[i]->user, sid) == 0)
			return credentials[i];
	return NULL;
}

/* Whether a credential is good for an operation: a restricted key is for those that it names. */
bool
credential_allows(const Credential *credential, const char *operation)
{
	if (credential->operations == NULL)
		return true;
	for (size_t i = 0; i < json_object_array_length(credential->operations); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(credential->operations, i)), operation) == 0)
			return true;
	return false;
}
