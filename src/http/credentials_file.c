/*
 * credentials_file.c
 *		The file that says as whom each role's requests are made.
 *
 * It is in the manner of .pgpass: lines account_sid:role:user:secret, # for a
 * comment, a backslash before a colon or a backslash that is meant.  It is read
 * again when it changes; the line last used is kept, for the role and the account
 * that it was chosen for and no other.  Nothing here puts a secret into a message.
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

/* The last answer of the file, and what it depended on. */
static struct
{
	struct stat file;
	char *path;
	char *account; /* that was asked for */
	char *role;
	Credential credential; /* without a secret: nothing is kept */
} kept;

/* The file that was read last, as it was seen last; zeros: it was not there. */
static struct
{
	char path[MAXPGPATH];
	struct stat file;
	uint64 version; /* goes up with each change that is seen */
} seen;

/* What is wrong with a file that can be read. */
typedef struct Fault
{
	const char *message;
	const char *hint;
} Fault;

/* All that reads a line as a string would stop at it, and the secret be cut. */
static const Fault null_byte = {
	"the credentials file has a null byte in it",
	"Write the file named by flex_api.credentials_file as plain text, in UTF-8.",
};

/* A guess would spend the wrong one's. */
static const Fault several_accounts = {
	"the credentials file has several accounts for this role",
	"Set flex_api.account_sid.",
};

/* Leave nothing of a secret in memory that is about to be let go. */
void
flex_credential_erase(Credential *credential)
{
	if (credential->secret != NULL)
		explicit_bzero(credential->secret, strlen(credential->secret));
	credential->secret = NULL;
}

/* Raise 55000 for a file that cannot be taken at its word. */
pg_noreturn static void
refuse_file(const Fault *fault)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg_internal("%s", fault->message),
					errhint("%s", fault->hint)));
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
	Credential credential;
	bool is_for_all; /* its role is * */
	bool has_key;    /* an API key, not an account with its auth token */
	int number;      /* from 1 on */
} Line;

/* Read a line; false when it gives the role nothing for the account (empty: any). */
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

/* Read the next line into text; false at the end, and where the file has a fault. */
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

/* A copy of a credential in a context. */
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

/* Note a line that is the role's first of its kind, or the auth token that stands below the first. */
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

/* Leave nothing of what signs in memory. */
static void
erase_secrets(FileSecrets *secrets)
{
	flex_credential_erase(&secrets->key);
	flex_credential_erase(&secrets->token);
	flex_credential_erase(&secrets->token_before);
}

/*
 * The first line that fits, as with .pgpass, but an API key goes before an auth
 * token of the same role.  Where no account is asked for, lines for two accounts
 * are a fault.  What signs is noted, too, where it is asked for.  Nothing of the
 * other lines stays in memory.
 */
static Credential
search_lines(FILE *file, const char *account, const char *role, const Fault **fault, FileSecrets *secrets)
{
	StringInfoData text;
	Line found = {0};
	bool token_is_for_all = false;
	int lines = 0;

	initStringInfo(&text);
	/* One that grows leaves what it had behind. */
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

/* Raise 55000 for what could not be done, with the reason in errno. */
pg_noreturn static void
raise_unreadable(const char *action, const char *path)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("could not %s credentials file \"%s\": %m", action, path),
					errhint("Set flex_api.credentials_file to a file that the server can read.")));
}

/*
 * Look for the role's credential in the file that has been opened.  It is checked
 * before it is opened, for opening a pipe waits, and after, for it may have been
 * exchanged.
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
	/* What it has not said could be another line for the role. */
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
 * Open the file and look for the role's credential.  The file is closed whatever is
 * raised: a sender catches that, and its transaction goes on.
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
	/* One of ours, which can be erased. */
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

/* Forget the kept line, leaving nothing of it in memory. */
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

/* True when nothing tells that a file has been written or exchanged meanwhile. */
static bool
is_same_file(const struct stat *one, const struct stat *other)
{
	return one->st_ino == other->st_ino && one->st_dev == other->st_dev && one->st_size == other->st_size &&
		   one->st_mode == other->st_mode && one->st_uid == other->st_uid &&
		   one->st_mtim.tv_sec == other->st_mtim.tv_sec && one->st_mtim.tv_nsec == other->st_mtim.tv_nsec &&
		   one->st_ctim.tv_sec == other->st_ctim.tv_sec && one->st_ctim.tv_nsec == other->st_ctim.tv_nsec;
}

/* Look whether the file that was read last is as it was seen last. */
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

/* A number that has changed when the file that this process read last has, or is another. */
uint64
flex_credentials_file_version(void)
{
	if (seen.path[0] != '\0')
		see_file(seen.path);
	return seen.version;
}

/* True when the kept line answers this question and the file is as it was. */
static bool
kept_is_good(const char *path, const char *account, const char *role)
{
	struct stat now;

	return kept.credential.secret != NULL && strcmp(kept.path, path) == 0 && strcmp(kept.account, account) == 0 &&
		   strcmp(kept.role, role) == 0 && stat(path, &now) == 0 && is_same_file(&now, &kept.file);
}

/*
 * The credential of a role, for an account or (empty) for the one that it has.
 * Raises 55000 when the file has none or cannot be read.
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
 * The same of what signs: secrets that the file does not have are NULL.  It is read
 * each time, since a kept line would have one of them only.
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
