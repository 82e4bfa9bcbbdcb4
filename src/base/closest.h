/*
 * closest.h
 *		The name that was probably meant, for a HINT.
 */
#ifndef FLEX_CLOSEST_H
#define FLEX_CLOSEST_H

/* A misspelt name, and the nearest of those that it was compared with. */
typedef struct ClosestName
{
	char *given;       /* in lower case */
	const char *found; /* NULL: none is near */
	int distance;      /* of the one found; before that, the largest one that counts, and one more */
} ClosestName;

extern ClosestName flex_closest_begin(const char *given);
extern void flex_closest_compare(ClosestName *closest, const char *name);

#endif /* FLEX_CLOSEST_H */
