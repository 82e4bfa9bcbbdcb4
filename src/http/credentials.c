/*
 * credentials.c
 *		The Authorization header's value, from settings or from the file.
 *
 * Settings made in the session go before the file.  The file is in the manner
 * of .pgpass: lines account_sid:role:user:secret, # for a comment, a backslash
 * before a colon or a backslash that is meant.  It is read again when it
 * changes; the line last used is kept, for the role and the account that it
 * was chosen for and no other.  Nothing here puts a secret into a message.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/base64.h"
#include "common/string.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/effective.h"
#include "http/credentials.h"

enum
{
	FIELD_ACCOUNT,
	FIELD_ROLE,
	FIELD_USER,
	FIELD_SECRET,
	FIELDS
};

/* The last answer of the file, and what it depended on. */
typedef struct FileAnswer
{
	struct stat file;
	char *path;
	char *account;
	char *role;
	char *authorization;
} FileAnswer;

static FileAnswer kept;

/* "Basic ..." for a user and a secret; palloc'd. */
static char *
basic_authorization(const char *user, const char *secret)
{
	char *plain = psprintf("%s:%s", user, secret);
	int length = strlen(plain);
	int room = pg_b64_enc_len(length) + 1;
	char *value = palloc(room + 6);
	int written;

	memcpy(value, "Basic ", 6);
	written = pg_b64_encode((const void *) plain, length, value + 6, room);
	explicit_bzero(plain, length);
	pfree(plain);
	if (written < 0)
		elog(ERROR, "could not encode credentials");
	value[6 + written] = '\0';
	return value;
}

/* Raise 55000 for settings that do not make a credential. */
pg_noreturn static void
raise_settings(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg_internal("%s", message), errhint("%s", hint)));
}

/*
 * The credential that the settings make, or NULL where they make none.  An API key
 * goes before the auth token, which has other uses, too, and may be set beside it.
 */
static char *
authorization_of_settings(void)
{
	const char *token = flex_effective_string(&flex_settings.auth_token);
	const char *key = flex_effective_string(&flex_settings.api_key);
	const char *secret = flex_effective_string(&flex_settings.api_secret);
	const char *account = flex_effective_string(&flex_settings.account_sid);

	/* A token that the session has given itself is for this call; a key that all have is not. */
	if (flex_setting_is_set(token) && flex_effective_is_of_session(&flex_settings.auth_token) &&
		!flex_effective_is_of_session(&flex_settings.api_key) &&
		!flex_effective_is_of_session(&flex_settings.api_secret))
		key = secret = "";
	if (flex_setting_is_set(key) && !flex_setting_is_set(secret))
		raise_settings("an API key is set without its secret", "Set flex_api.api_secret.");
	if (flex_setting_is_set(secret) && !flex_setting_is_set(key))
		raise_settings("an API secret is set without its key", "Set flex_api.api_key.");
	if (flex_setting_is_set(key))
		return basic_authorization(key, secret);
	if (!flex_setting_is_set(token))
		return NULL;
	if (!flex_setting_is_set(account))
		raise_settings("an auth token is set without its account", "Set flex_api.account_sid.");
	return basic_authorization(account, token);
}

/* Raise 55000 unless the file is a plain one that its owner, we, can read alone. */
static void
check_file(const struct stat *file, const char *path)
{
	if (!S_ISREG(file->st_mode))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("credentials file \"%s\" is not a regular file", path),
						errhint("Set flex_api.credentials_file to a regular file.")));
	if (file->st_uid != geteuid() || (file->st_mode & (S_IRWXG | S_IRWXO)) != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("credentials file \"%s\" can be read by others than the server's owner", path),
						errhint("The file named by flex_api.credentials_file must be owned by the server's owner, with "
								"permissions u=rw (0600) or less.")));
}

/*
 * Split a line in place at its colons, taking the backslashes out.  False for
 * a line that has not all fields.
 */
static bool
split_line(char *line, char *field[FIELDS])
{
	char *to = line;
	int n = 0;

	field[n] = to;
	for (const char *from = line; *from; from++)
	{
		if (*from == ':' && n < FIELD_SECRET)
		{
			*to++ = '\0';
			field[++n] = to;
			continue;
		}
		if (*from == '\\' && (from[1] == ':' || from[1] == '\\'))
			from++;
		*to++ = *from;
	}
	*to = '\0';
	return n == FIELD_SECRET;
}

/* A line that fits. */
typedef struct Line
{
	char *account;
	bool is_for_all; /* its role is * */
	bool has_key;    /* an API key, not an account with its auth token */
	char *authorization;
} Line;

/* Read a line; false when it gives the role nothing for the account (empty: any). */
static bool
read_line(char *text, const char *account, const char *role, Line *line)
{
	char *field[FIELDS];

	if (text[0] == '#' || !split_line(text, field))
		return false;
	if (flex_setting_is_set(account) && strcmp(field[FIELD_ACCOUNT], account) != 0)
		return false;
	line->is_for_all = strcmp(field[FIELD_ROLE], "*") == 0;
	if (!line->is_for_all && strcmp(field[FIELD_ROLE], role) != 0)
		return false;
	line->account = pstrdup(field[FIELD_ACCOUNT]);
	line->has_key = strncmp(field[FIELD_USER], "SK", 2) == 0;
	line->authorization = basic_authorization(field[FIELD_USER], field[FIELD_SECRET]);
	return true;
}

/* True when a line goes before the one that was found first: it has the same role's API key. */
static bool
goes_before(const Line *line, const Line *found)
{
	return found->authorization == NULL || (line->has_key && !found->has_key && line->is_for_all == found->is_for_all);
}

/*
 * Read the next line into text; false at the end.  Raises 55000 for a null byte:
 * all that reads a line as a string would stop there, and the secret be cut.
 */
static bool
next_line(FILE *file, StringInfo text)
{
	int c;

	resetStringInfo(text);
	while ((c = getc(file)) != EOF && c != '\n')
	{
		if (c == '\0')
		{
			explicit_bzero(text->data, text->maxlen);
			raise_settings("the credentials file has a null byte in it",
						   "Write the file named by flex_api.credentials_file as plain text, in UTF-8.");
		}
		appendStringInfoChar(text, (char) c);
	}
	return c != EOF || text->len > 0;
}

/*
 * The first line that fits, as with .pgpass, but an API key goes before an auth
 * token of the same role.  Where no account is asked for, lines for two accounts
 * are an error: a guess would spend the wrong one's.
 */
static char *
search_file(FILE *file, const char *account, const char *role, bool *ambiguous)
{
	StringInfoData text;
	Line found = {0};

	initStringInfo(&text);
	while (next_line(file, &text))
	{
		Line line;
		bool fits;

		(void) pg_strip_crlf(text.data);
		fits = read_line(text.data, account, role, &line);
		explicit_bzero(text.data, text.maxlen);
		if (!fits)
			continue;
		*ambiguous |= found.authorization != NULL && strcmp(found.account, line.account) != 0;
		if (goes_before(&line, &found))
			found = line;
	}
	return found.authorization;
}

/* Raise 55000 for what could not be done, with the reason in errno. */
pg_noreturn static void
raise_unreadable(const char *action, const char *path)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("could not %s credentials file \"%s\": %m", action, path),
					errhint("Set flex_api.credentials_file to a file that the server can read.")));
}

/*
 * Look for the role's credential in the file that has been opened; NULL when it has
 * none.  It is checked before it is opened, for opening a pipe waits, and after, for
 * it may have been exchanged.
 */
static char *
read_opened(FILE *file, const char *path, const char *account, const char *role, struct stat *status)
{
	bool ambiguous = false;
	char *found;

	if (fstat(fileno(file), status) != 0)
		raise_unreadable("open", path);
	check_file(status, path);
	found = search_file(file, account, role, &ambiguous);
	/* What it has not said could be another line for the role. */
	if (ferror(file))
		raise_unreadable("read", path);
	if (ambiguous)
		raise_settings("the credentials file has several accounts for this role", "Set flex_api.account_sid.");
	return found;
}

/*
 * Open the file and look for the role's credential.  The file is closed whatever is
 * raised: a sender catches that, and its transaction goes on.
 */
static char *
read_file(const char *path, const char *account, const char *role, struct stat *status)
{
	FILE *file;
	char *volatile found = NULL;

	if (stat(path, status) != 0)
		raise_unreadable("open", path);
	check_file(status, path);
	file = AllocateFile(path, "r");
	if (file == NULL)
		raise_unreadable("open", path);
	PG_TRY();
	{
		found = read_opened(file, path, account, role, status);
	}
	PG_FINALLY();
	{
		FreeFile(file);
	}
	PG_END_TRY();
	return found;
}

/* Forget the kept line, leaving nothing of it in memory. */
static void
forget_kept(void)
{
	if (kept.authorization != NULL)
	{
		explicit_bzero(kept.authorization, strlen(kept.authorization));
		pfree(kept.authorization);
		pfree(kept.role);
		pfree(kept.account);
		pfree(kept.path);
	}
	memset(&kept, 0, sizeof(kept));
}

/* Keep what the file gave, for as long as the file and the question stay. */
static void
keep(const char *path, const char *account, const char *role, const char *authorization, const struct stat *status)
{
	forget_kept();
	kept.path = MemoryContextStrdup(TopMemoryContext, path);
	kept.account = MemoryContextStrdup(TopMemoryContext, account);
	kept.role = MemoryContextStrdup(TopMemoryContext, role);
	kept.file = *status;
	kept.authorization = MemoryContextStrdup(TopMemoryContext, authorization);
}

/* True when the kept line answers this question and the file is as it was. */
static bool
kept_is_good(const char *path, const char *account, const char *role)
{
	struct stat now;

	return kept.authorization != NULL && strcmp(kept.path, path) == 0 && strcmp(kept.account, account) == 0 &&
		   strcmp(kept.role, role) == 0 && stat(path, &now) == 0 && now.st_ino == kept.file.st_ino &&
		   now.st_dev == kept.file.st_dev && now.st_size == kept.file.st_size && now.st_mode == kept.file.st_mode &&
		   now.st_uid == kept.file.st_uid && now.st_mtim.tv_sec == kept.file.st_mtim.tv_sec &&
		   now.st_mtim.tv_nsec == kept.file.st_mtim.tv_nsec && now.st_ctim.tv_sec == kept.file.st_ctim.tv_sec &&
		   now.st_ctim.tv_nsec == kept.file.st_ctim.tv_nsec;
}

/* A role's credential from the file; raises 55000 when it has none. */
static char *
authorization_of_file(Oid role_id, const char *account)
{
	const char *path = flex_settings.credentials_file;
	const char *role = GetUserNameFromId(role_id, false);
	struct stat status;
	char *found;

	if (kept_is_good(path, account, role))
		return pstrdup(kept.authorization);
	forget_kept();
	found = read_file(path, account, role, &status);
	if (found == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the credentials file has no line for role \"%s\"%s%s%s", role,
							   account[0] ? " and account \"" : "", account, account[0] ? "\"" : ""),
						account[0] ? errhint("Add a line account_sid:role:user:secret to the file named by "
											 "flex_api.credentials_file, or set flex_api.account_sid to an account "
											 "that it has.")
								   : errhint("Add a line account_sid:role:user:secret to the file named by "
											 "flex_api.credentials_file.")));
	keep(path, account, role, found, &status);
	return found;
}

/* True when the settings are for the account, or any will do. */
static bool
settings_are_for(const char *account)
{
	const char *own = flex_effective_string(&flex_settings.account_sid);

	return account[0] == '\0' || !flex_setting_is_set(own) || strcmp(account, own) == 0;
}

/*
 * The value of the Authorization header: of the settings that count for a call of
 * the current role, or the role's from the file; palloc'd, a secret.  account NULL
 * means the one that the settings name; for another, only the file can help.
 * Raises 55000 when there are no credentials or they contradict each other.
 */
char *
flex_credentials_authorization(Oid role, const char *account)
{
	const char *wanted = account != NULL ? account : flex_effective_string(&flex_settings.account_sid);
	char *authorization = settings_are_for(wanted) ? authorization_of_settings() : NULL;

	if (authorization != NULL)
		return authorization;
	if (flex_setting_is_set(flex_settings.credentials_file))
		return authorization_of_file(role, wanted);
	raise_settings("no credentials for the Flex API are set",
				   "Set flex_api.credentials_file, or flex_api.account_sid with flex_api.auth_token, or "
				   "flex_api.api_key with flex_api.api_secret.");
}
