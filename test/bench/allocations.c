/*
 * allocations.c
 *	  Counts how often a program asks for memory, for LD_PRELOAD.
 *
 * The number is written to the file that ALLOCATIONS names, when the program ends.
 * Only glibc has the functions that it hands on to.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

static atomic_long allocations;

void *
malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	allocations++;
	return __libc_calloc(count, size);
}

void *
realloc(void *memory, size_t size)
{
	allocations++;
	return __libc_realloc(memory, size);
}

__attribute__((destructor)) static void
write_number(void)
{
	const char *name = getenv("ALLOCATIONS");
	FILE *file = name != NULL ? fopen(name, "w") : NULL;

	if (file == NULL)
		return;
	fprintf(file, "%ld\n", allocations);
	fclose(file);
}
