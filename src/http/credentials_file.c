/*
 * credentials_file.c
 *		The credentials file, which maps roles to credentials.
 *
 * Its format is like that of .pgpass: lines account_sid:role:user:secret, comments that
 * begin with #, and a backslash to escape a colon or a backslash.  The role may be *.
 *
 * The credential found last is cached, for the role and account that it was looked up for,
 * until the file changes.  Secrets are never put into messages, and buffers that contained
 * secrets are overwritten before they are freed.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/string.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "http/credentials_file.h"

#define USUAL_LINE_BYTES (8 * 1024)

enum
{
	FIELD_ACCOUNT,
	FIELD_ROLE,
	FIELD_USER,
	FIELD_SECRET,
	FIELDS
};

/* The credential found last, in TopMemoryContext, and the arguments and state of the file that it is valid for. */
static struct
{
	struct stat file;
	char *path;
	char *account; /* the argument, which may be "" */
	char *role;
	Credential credential; /* its secret is NULL if nothing is cached */
} kept;

/* The file that was read last, and its state at the last look; zeros if it did not exist. */
static struct
{
	char path[MAXPGPATH];
	struct stat file;
	uint64 version; /* incremented when a change is noticed */
} seen;

/* An error in the contents of the file. */
typedef struct Fault
{
	const char *message;
	const char *hint;
} Fault;

/* Lines are processed as C strings, so a null byte would truncate a secret. */
static const Fault null_byte = {
	"the credentials file has a null byte in it",
	"Write the file named by flex_api.credentials_file as plain text, in UTF-8.",
};

/* Choosing one of them could make requests at the expense of the wrong account. */
static const Fault several_accounts = {
	"the credentials file has several accounts for this role",
	"Set flex_api.account_sid.",
};

/* Overwrite the secret of a credential, and set it to NULL. */
void
flex_credential_erase(Credential *credential)
{
	if (credential->secret != NULL)
		explicit_bzero(credential->secret, strlen(credential->secret));
	credential->secret = NULL;
}

/* Raise 55000 for an error in the contents of the file. */
pg_noreturn static void
refuse_file(const Fault *fault)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg_internal("%s", fault->message),
					errhint("%s", fault->hint)));
}

/* Raise 55000 unless this is a regular file that the server's user owns and nobody else can access. */
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
 * Split a line into its fields, in place, and remove the escaping backslashes.  Return
 * false if fields are missing.  Colons in the last field need no escaping.
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

/* A line that matches the role and the account. */
typedef struct Line
{
	Credential credential;
	bool is_for_all; /* its role is * */
	bool has_key;    /* it has an API key, not an auth token */
	int number;      /* counted from 1 */
} Line;

/*
 * Parse a line, in place.  Return false if it does not match the role and the account (""
 * for any), or is a comment.  The credential is palloc'd.
 */
static bool
read_line(char *text, const char *account, const char *role, Line *line)
{
	char *field[FIELDS];

	if (text[0] == '#' || !split_line(text, field))
		return false;
	if (account[0] != '\0' && strcmp(field[FIELD_ACCOUNT], account) != 0)
		return false;
	line->is_for_all = strcmp(field[FIELD_ROLE], "*") == 0;
	if (!line->is_for_all && strcmp(field[FIELD_ROLE], role) != 0)
		return false;
	line->has_key = strncmp(field[FIELD_USER], "SK", 2) == 0;
	line->credential.account = pstrdup(field[FIELD_ACCOUNT]);
	line->credential.user = pstrdup(field[FIELD_USER]);
	line->credential.secret = pstrdup(field[FIELD_SECRET]);
	line->credential.source = psprintf("line %d of the file named by flex_api.credentials_file", line->number);
	return true;
}

/* Read the next line into text.  Return false at the end of the file, or after setting *fault. */
static bool
next_line(FILE *file, StringInfo text, const Fault **fault)
{
	int c;

	resetStringInfo(text);
	while ((c = getc(file)) != EOF && c != '\n')
	{
		if (c == '\0')
		{
			*fault = &null_byte;
			return false;
		}
		appendStringInfoChar(text, (char) c);
	}
	return c != EOF || text->len > 0;
}

/* Return a copy of a credential, whose strings are allocated in a context. */
static Credential
copy_credential(const Credential *credential, MemoryContext context)
{
	return (Credential){
		.account = MemoryContextStrdup(context, credential->account),
		.user = MemoryContextStrdup(context, credential->user),
		.secret = MemoryContextStrdup(context, credential->secret),
		.source = MemoryContextStrdup(context, credential->source),
	};
}

/*
 * Copy the credential of a matching line to the FileSecrets if it belongs there: as the
 * first API key, the first auth token, or the second auth token of the same account and role.
 */
static void
note_secret(FileSecrets *secrets, const Line *line, bool *token_is_for_all)
{
	Credential *place = line->has_key ? &secrets->key : &secrets->token;

	if (!line->has_key && place->secret != NULL)
	{
		if (line->is_for_all != *token_is_for_all || strcmp(line->credential.account, place->account) != 0)
			return;
		place = &secrets->token_before;
	}
	if (place->secret != NULL)
		return;
	*place = copy_credential(&line->credential, CurrentMemoryContext);
	*token_is_for_all = line->has_key ? *token_is_for_all : line->is_for_all;
}

/* Overwrite all secrets. */
static void
erase_secrets(FileSecrets *secrets)
{
	flex_credential_erase(&secrets->key);
	flex_credential_erase(&secrets->token);
	flex_credential_erase(&secrets->token_before);
}

/*
 * Return the credential of the first matching line, as with .pgpass, except that an API key
 * takes precedence over an auth token for the same role.  If account is empty, matching
 * lines for two accounts are a fault.  Fill *secrets, too, unless it is NULL.  The secrets
 * of all other lines are overwritten.
 */
static Credential
search_lines(FILE *file, const char *account, const char *role, const Fault **fault, FileSecrets *secrets)
{
	StringInfoData text;
	Line found = {0};
	bool token_is_for_all = false;
	int lines = 0;

	initStringInfo(&text);
	/* When a StringInfo is enlarged later, a copy of its contents may stay behind in memory. */
	enlargeStringInfo(&text, USUAL_LINE_BYTES);
	while (next_line(file, &text, fault))
	{
		Line line = {.number = ++lines};
		bool is_first;
		bool is_better_key;
		bool fits;

		(void) pg_strip_crlf(text.data);
		fits = read_line(text.data, account, role, &line);
		explicit_bzero(text.data, text.maxlen);
		if (!fits)
			continue;
		if (secrets != NULL)
			note_secret(secrets, &line, &token_is_for_all);
		is_first = found.credential.secret == NULL;
		is_better_key = line.has_key && !found.has_key && line.is_for_all == found.is_for_all;
		if (!is_first && strcmp(found.credential.account, line.credential.account) != 0)
			*fault = &several_accounts;
		flex_credential_erase(is_first || is_better_key ? &found.credential : &line.credential);
		if (is_first || is_better_key)
			found = line;
	}
	explicit_bzero(text.data, text.maxlen);
	return found.credential;
}

/* Raise 55000 for a failed action, with the reason in errno. */
pg_noreturn static void
raise_unreadable(const char *action, const char *path)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("could not %s credentials file \"%s\": %m", action, path),
					errhint("Set flex_api.credentials_file to a file that the server can read.")));
}

/*
 * Look for the role's credential in the opened file, and return the file's status.  The
 * caller has checked the file before opening it, because opening a pipe would block; it is
 * checked again here, because it may have been replaced in between.
 */
static Credential
read_opened(FILE *file, const char *path, const char *account, const char *role, struct stat *status,
			FileSecrets *secrets)
{
	const Fault *fault = NULL;
	Credential found;

	if (fstat(fileno(file), status) != 0)
		raise_unreadable("open", path);
	check_file(status, path);
	found = search_lines(file, account, role, &fault, secrets);
	/* The rest of the file may contain another line for the role, so do not use what was found. */
	if (ferror(file) || fault != NULL)
	{
		flex_credential_erase(&found);
		if (secrets != NULL)
			erase_secrets(secrets);
	}
	if (ferror(file))
		raise_unreadable("read", path);
	if (fault != NULL)
		refuse_file(fault);
	return found;
}

/*
 * Open the file and look for the role's credential.  The file is closed here also after an
 * error, because an outbox worker catches the error and continues its transaction.
 */
static Credential
read_file(const char *path, const char *account, const char *role, struct stat *status, FileSecrets *secrets)
{
	FILE *file;
	char buffer[BUFSIZ];
	Credential found = {0};

	if (stat(path, status) != 0)
		raise_unreadable("open", path);
	check_file(status, path);
	file = AllocateFile(path, "r");
	if (file == NULL)
		raise_unreadable("open", path);
	/* Use a buffer of our own, so that it can be overwritten. */
	setvbuf(file, buffer, _IOFBF, sizeof(buffer));
	PG_TRY();
	{
		found = read_opened(file, path, account, role, status, secrets);
	}
	PG_FINALLY();
	{
		FreeFile(file);
		explicit_bzero(buffer, sizeof(buffer));
	}
	PG_END_TRY();
	return found;
}

/* Clear the cache, overwriting the secret. */
static void
forget_kept(void)
{
	if (kept.credential.secret == NULL)
		return;
	explicit_bzero(kept.credential.secret, strlen(kept.credential.secret));
	pfree(kept.credential.secret);
	pfree(kept.credential.source);
	pfree(kept.credential.user);
	pfree(kept.credential.account);
	pfree(kept.role);
	pfree(kept.account);
	pfree(kept.path);
	memset(&kept, 0, sizeof(kept));
}

/* Return true if the status of a file gives no sign that it was modified or replaced. */
static bool
is_same_file(const struct stat *one, const struct stat *other)
{
	return one->st_ino == other->st_ino && one->st_dev == other->st_dev && one->st_size == other->st_size &&
		   one->st_mode == other->st_mode && one->st_uid == other->st_uid &&
		   one->st_mtim.tv_sec == other->st_mtim.tv_sec && one->st_mtim.tv_nsec == other->st_mtim.tv_nsec &&
		   one->st_ctim.tv_sec == other->st_ctim.tv_sec && one->st_ctim.tv_nsec == other->st_ctim.tv_nsec;
}

/* Note the state of a file, and increment the version if it has changed or is another file than before. */
static void
see_file(const char *path)
{
	struct stat now;

	if (stat(path, &now) != 0)
		memset(&now, 0, sizeof(now));
	if (strcmp(seen.path, path) == 0 && is_same_file(&seen.file, &now))
		return;
	strlcpy(seen.path, path, sizeof(seen.path));
	seen.file = now;
	seen.version++;
}

/* Return a number that changes whenever the file that this process has read last changes, or is another one. */
uint64
flex_credentials_file_version(void)
{
	if (seen.path[0] != '\0')
		see_file(seen.path);
	return seen.version;
}

/* Return true if the cached credential is for these arguments, and the file has not changed. */
static bool
kept_is_good(const char *path, const char *account, const char *role)
{
	struct stat now;

	return kept.credential.secret != NULL && strcmp(kept.path, path) == 0 && strcmp(kept.account, account) == 0 &&
		   strcmp(kept.role, role) == 0 && stat(path, &now) == 0 && is_same_file(&now, &kept.file);
}

/*
 * Return the credential of a role for an account.  If account is empty, the role must have
 * lines for one account only.  Raise 55000 if there is no credential, or the file cannot be
 * used.
 */
Credential
flex_credentials_file_find(const char *path, Oid role_id, const char *account)
{
	const char *role = GetUserNameFromId(role_id, false);
	struct stat status;
	Credential found;

	if (kept_is_good(path, account, role))
		return copy_credential(&kept.credential, CurrentMemoryContext);
	forget_kept();
	see_file(path);
	found = read_file(path, account, role, &status, NULL);
	if (found.secret == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the credentials file has no line for role \"%s\"%s%s%s", role,
							   account[0] ? " and account \"" : "", account, account[0] ? "\"" : ""),
						account[0] ? errhint("Add a line account_sid:role:user:secret to the file named by "
											 "flex_api.credentials_file, or set flex_api.account_sid to an account "
											 "that it has.")
								   : errhint("Add a line account_sid:role:user:secret to the file named by "
											 "flex_api.credentials_file.")));
	kept.path = MemoryContextStrdup(TopMemoryContext, path);
	kept.account = MemoryContextStrdup(TopMemoryContext, account);
	kept.role = MemoryContextStrdup(TopMemoryContext, role);
	kept.file = status;
	kept.credential = copy_credential(&found, TopMemoryContext);
	return found;
}

/*
 * Get the secrets that a role may sign with; those that the file does not have are NULL.
 * The file is read each time, because the cache holds a single credential.
 */
void
flex_credentials_file_secrets(const char *path, Oid role_id, const char *account, FileSecrets *secrets)
{
	struct stat status;
	Credential found;

	memset(secrets, 0, sizeof(*secrets));
	found = read_file(path, account, GetUserNameFromId(role_id, false), &status, secrets);
	flex_credential_erase(&found);
}
