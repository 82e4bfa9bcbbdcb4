/*
 * authorities.c
 *		Files of certificate authorities, which may be replaced under their names.
 *
 * libcurl knows such a file by its name, under which it keeps the authorities that it has
 * read of it, TLS sessions, and connections.  A file that was replaced gets another
 * spelling of its name, for which libcurl has nothing: so it counts within LOOK_MS, also
 * where it no longer has an authority.  To read the file for each connection instead takes
 * some 30 ms of CPU where it is the system's.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "http/authorities.h"

#define LOOK_MS 100       /* a file is looked at so often at most: not for each call */
#define MOST_SPELLINGS 32 /* by the time the first is used again, nothing is kept for it */

/* A file as it was seen last. */
typedef struct Seen
{
	struct Seen *next;
	struct stat status; /* zeros: it was not there */
	int version;        /* goes up with each change that is seen */
	int64 looked_at;    /* flex_clock_ms() */
	char name[FLEXIBLE_ARRAY_MEMBER];
} Seen;

static Seen *files; /* that were asked for; there are as many as settings and servers name */

static Seen *
find_seen(const char *file)
{
	Seen *seen;

	for (seen = files; seen != NULL; seen = seen->next)
	{
		if (strcmp(seen->name, file) == 0)
			return seen;
	}
	seen = MemoryContextAllocZero(TopMemoryContext, offsetof(Seen, name) + strlen(file) + 1);
	strcpy(seen->name, file);
	seen->version = -1;
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

/* Look at a file again, unless that was done a moment ago. */
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
		seen->version++;
	seen->status = status;
	seen->looked_at = now;
}

/* The file's path, in the current context; another text since the file was replaced. */
char *
flex_authorities_path(const char *file)
{
	Seen *seen = find_seen(file);
	const char *behind_root = file[0] == '/' ? file + 1 : file;
	StringInfoData path;

	look(seen);
	initStringInfo(&path);
	appendBinaryStringInfo(&path, file, (int) (behind_root - file));
	for (int i = 0; i < seen->version % MOST_SPELLINGS; i++)
		appendStringInfoString(&path, "./");
	appendStringInfoString(&path, behind_root);
	return path.data;
}
