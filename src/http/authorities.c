/*
 * authorities.c
 *		Notices when files and directories of certificate authorities are replaced.
 *
 * libcurl caches the authorities that it has read from a file, TLS sessions and connections,
 * and the file's name is part of the key.  So after a file or directory has changed we
 * pass libcurl another spelling of its name, for which nothing is cached.  In this way a
 * change takes effect within LOOK_MS, also if it removes an authority.  Disabling the
 * cache instead would cost about 30 ms of CPU time per connection for the system's file.
 */
#include "postgres.h"

#include <ctype.h>
#include <dirent.h>
#include <sys/stat.h>

#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "http/authorities.h"

#define LOOK_MS 100 /* minimum time between two looks at a file */
#define HASH_DIGITS 8

/* The binary digits of a version, in front of a name: each stands for the same folder. */
static const char *const digits[] = {"./", ".//"};

#define MOST_DIGITS_LENGTH (31 * strlen(digits[1])) /* of the largest version */

/* A file or directory, and its state at the last look. */
typedef struct Seen
{
	struct Seen *next;
	struct stat status; /* zeros if it did not exist */
	int version;        /* incremented when a change is noticed; -1 before the first look */
	int64 looked_at;    /* flex_clock_ms() of the last look */
	int listed_version; /* version for which does was determined, or -1 */
	bool does;          /* a directory in which OpenSSL finds authorities, and has not missed one yet */
	char *spelling;     /* the spelling of the name for the present version */
	char name[FLEXIBLE_ARRAY_MEMBER];
} Seen;

/* All names that were asked for, never freed: there are only as many as settings and servers name. */
static Seen *files;

/* Find the entry of a name, or make one.  Return NULL if out of memory. */
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
	seen = MemoryContextAllocExtended(TopMemoryContext, offsetof(Seen, name) + 2 * (length + 1) + MOST_DIGITS_LENGTH,
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

/* Return true if a file was modified or replaced between two looks. */
static bool
has_changed(const struct stat *before, const struct stat *now)
{
	return before->st_dev != now->st_dev || before->st_ino != now->st_ino || before->st_size != now->st_size ||
		   before->st_mtim.tv_sec != now->st_mtim.tv_sec || before->st_mtim.tv_nsec != now->st_mtim.tv_nsec ||
		   before->st_ctim.tv_sec != now->st_ctim.tv_sec || before->st_ctim.tv_nsec != now->st_ctim.tv_nsec;
}

/*
 * Set the spelling of a name for its version, which is written at its beginning.  No spelling is used
 * twice: libcurl may keep a connection for a minute, and TLS sessions for as long as there is room.
 */
static void
spell(Seen *seen)
{
	const char *behind_root = seen->name[0] == '/' ? seen->name + 1 : seen->name;
	char *end = seen->spelling;

	if (behind_root != seen->name)
		*end++ = '/';
	for (int rest = seen->version; rest > 0; rest /= 2)
		end = stpcpy(end, digits[rest % 2]);
	strcpy(end, behind_root);
}

/* Check whether a file has changed, unless that was done within the last LOOK_MS. */
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
 * Return the path of a file or directory, in another spelling after each change.  The result
 * is valid until the next call for the same name.  No error is raised.
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

/* Return true if OpenSSL may look for an authority by this file name: a hash of its subject and a number. */
static bool
is_hash(const char *name)
{
	return strspn(name, "0123456789abcdef") == HASH_DIGITS && name[HASH_DIGITS] == '.' &&
		   isdigit((unsigned char) name[HASH_DIGITS + 1]);
}

/* Return true if a directory contains any authority that OpenSSL can find. */
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

/*
 * Return true if a directory contains authorities that OpenSSL can find, and none has been
 * missed there since its last change.
 */
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

/* Note that an authority which was needed has not been found in a directory. */
void
flex_authorities_did_not_do(const char *directory)
{
	Seen *seen = find_seen(directory);

	if (seen != NULL)
		seen->does = false;
}
