/*
 * authorities.c
 *		Files and directories of certificate authorities, which may be replaced under their names.
 *
 * libcurl knows them by their names, under which it keeps the authorities that it has read
 * of a file, TLS sessions, and connections.  What was replaced gets another spelling of its
 * name, for which libcurl has nothing: so it counts within LOOK_MS, also where it no longer
 * has an authority.  To read a file for each connection instead takes some 30 ms of CPU
 * where it is the system's.
 */
#include "postgres.h"

#include <ctype.h>
#include <dirent.h>
#include <sys/stat.h>

#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "http/authorities.h"

#define LOOK_MS 100 /* a file is looked at so often at most: not for each call */
#define HASH_DIGITS 8
#define SAME_FOLDER "./"
#define MOST_SPELLINGS 32 /* by the time the first is used again, nothing is kept for it */

/* A file or directory as it was seen last. */
typedef struct Seen
{
	struct Seen *next;
	struct stat status; /* zeros: it was not there */
	int version;        /* goes up with each change that is seen */
	int64 looked_at;    /* flex_clock_ms() */
	int listed_version; /* does is of it; -1: of none */
	bool does;          /* a directory: OpenSSL finds authorities there, and none was missed yet */
	char *spelling;     /* of the name, as libcurl knows it since the last change */
	char name[FLEXIBLE_ARRAY_MEMBER];
} Seen;

static Seen *files; /* that were asked for; there are as many as settings and servers name */

/* What is known of a name; NULL when there is no memory for it. */
static Seen *
find_seen(const char *name)
{
	Size length = strlen(name);
	Seen *seen;

	for (seen = files; seen != NULL; seen = seen->next)
	{
		if (strcmp(seen->name, name) == 0)
			return seen;
	}
	seen = MemoryContextAllocExtended(TopMemoryContext,
									  offsetof(Seen, name) + 2 * (length + 1) + MOST_SPELLINGS * strlen(SAME_FOLDER),
									  MCXT_ALLOC_ZERO | MCXT_ALLOC_NO_OOM);
	if (seen == NULL)
		return NULL;
	strcpy(seen->name, name);
	seen->spelling = seen->name + length + 1;
	seen->version = -1;
	seen->listed_version = -1;
	seen->next = files;
	files = seen;
	return seen;
}

/* True when a file is another than it was, or was written meanwhile. */
static bool
has_changed(const struct stat *before, const struct stat *now)
{
	return before->st_dev != now->st_dev || before->st_ino != now->st_ino || before->st_size != now->st_size ||
		   before->st_mtim.tv_sec != now->st_mtim.tv_sec || before->st_mtim.tv_nsec != now->st_mtim.tv_nsec ||
		   before->st_ctim.tv_sec != now->st_ctim.tv_sec || before->st_ctim.tv_nsec != now->st_ctim.tv_nsec;
}

/* Spell a name so that it is another text than with the version before. */
static void
spell(Seen *seen)
{
	const char *behind_root = seen->name[0] == '/' ? seen->name + 1 : seen->name;
	char *end = seen->spelling;

	if (behind_root != seen->name)
		*end++ = '/';
	for (int i = 0; i < seen->version % MOST_SPELLINGS; i++)
		end = stpcpy(end, SAME_FOLDER);
	strcpy(end, behind_root);
}

/* Look at it again, unless that was done a moment ago. */
static void
look(Seen *seen)
{
	int64 now = flex_clock_ms();
	struct stat status;

	if (seen->version >= 0 && now - seen->looked_at < LOOK_MS)
		return;
	if (stat(seen->name, &status) != 0)
		memset(&status, 0, sizeof(status));
	if (seen->version < 0 || has_changed(&seen->status, &status))
	{
		seen->version++;
		spell(seen);
	}
	seen->status = status;
	seen->looked_at = now;
}

/*
 * The path of a file or a directory, another text since it was replaced.  It is good until the next
 * question for the same one.  Raises no error.
 */
const char *
flex_authorities_path(const char *name)
{
	Seen *seen = find_seen(name);

	if (seen == NULL)
		return name;
	look(seen);
	return seen->spelling;
}

/*
 * Raise 55000 if a file is there and is not a regular one: libcurl would open it, and to open a FIFO
 * or a device can block where no cancel is seen.
 */
void
flex_authorities_check_file(const char *file)
{
	Seen *seen = find_seen(file);

	if (seen == NULL)
		return;
	look(seen);
	if (seen->status.st_mode != 0 && !S_ISREG(seen->status.st_mode))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("file of certificate authorities \"%s\" is not a regular file", file),
						errhint("Set flex_api.ca_file to a regular file.")));
}

/* True for the name under which OpenSSL looks for an authority: the hash of the authority's name, and a number. */
static bool
is_hash(const char *name)
{
	return strspn(name, "0123456789abcdef") == HASH_DIGITS && name[HASH_DIGITS] == '.' &&
		   isdigit((unsigned char) name[HASH_DIGITS + 1]);
}

/* True when a directory has authorities that OpenSSL finds. */
static bool
has_hashes(const char *directory)
{
	DIR *entries = AllocateDir(directory);
	struct dirent *entry;
	bool found = false;

	while (entries != NULL && !found && (entry = ReadDirExtended(entries, directory, DEBUG1)) != NULL)
		found = is_hash(entry->d_name);
	FreeDir(entries);
	return found;
}

/* True when a directory has such authorities, and as far as is known since its last change all that are needed. */
bool
flex_authorities_will_do(const char *directory)
{
	Seen *seen = find_seen(directory);

	if (seen == NULL)
		return false;
	look(seen);
	if (seen->listed_version != seen->version)
	{
		seen->does = has_hashes(directory);
		seen->listed_version = seen->version;
	}
	return seen->does;
}

/* A directory lacked an authority that was needed. */
void
flex_authorities_did_not_do(const char *directory)
{
	Seen *seen = find_seen(directory);

	if (seen != NULL)
		seen->does = false;
}
