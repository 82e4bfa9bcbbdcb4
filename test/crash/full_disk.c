/*
 * full_disk.c
 *		A disk that is full, for a server that is started with this preloaded.
 *
 * While the file that FULL_DISK names is there, no file whose path has that
 * file's content in it can grow, as on a full disk: what is there already can
 * still be written.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The part of paths that are on the full disk; false when none is full. */
static int
read_pattern(char *pattern, size_t size)
{
	const char *name = getenv("FULL_DISK");
	int fd = name != NULL ? open(name, O_RDONLY) : -1;
	ssize_t length;

	if (fd < 0)
		return 0;
	length = read(fd, pattern, size - 1);
	close(fd);
	pattern[length > 0 ? length : 0] = '\0';
	return length > 0;
}

/* True when a file must not become so long. */
static int
is_full(int fd, off_t end)
{
	int saved = errno;
	char pattern[256];
	char link[64];
	char path[PATH_MAX];
	struct stat status;
	int full = 0;

	if (read_pattern(pattern, sizeof(pattern)) && fstat(fd, &status) == 0 && end > status.st_size)
	{
		ssize_t length;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		length = readlink(link, path, sizeof(path) - 1);
		path[length > 0 ? length : 0] = '\0';
		full = strstr(path, pattern) != NULL;
	}
	errno = full ? ENOSPC : saved;
	return full;
}

ssize_t
pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
	static ssize_t (*next)(int, const void *, size_t, off64_t);

	if (next == NULL)
		next = dlsym(RTLD_NEXT, "pwrite64");
	return is_full(fd, offset + (off_t) count) ? -1 : next(fd, bytes, count, offset);
}

ssize_t
pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
	return pwrite64(fd, bytes, count, offset);
}

ssize_t
pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
	static ssize_t (*next)(int, const struct iovec *, int, off64_t);
	off64_t end = offset;

	if (next == NULL)
		next = dlsym(RTLD_NEXT, "pwritev64");
	for (int i = 0; i < count; i++)
		end += (off64_t) parts[i].iov_len;
	return is_full(fd, end) ? -1 : next(fd, parts, count, offset);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	return pwritev64(fd, parts, count, offset);
}
