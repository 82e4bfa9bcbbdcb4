/*
 * closest.h
 *		Finds the name that was probably meant, for a HINT.
 */
#ifndef FLEX_CLOSEST_H
#define FLEX_CLOSEST_H

/* A misspelled name, and the most similar one of those that it was compared with. */
typedef struct ClosestName
{
	char *given;       /* in lower case */
	const char *found; /* NULL: none is similar */
	int distance;      /* of the one found; initially 1 more than the largest acceptable one */
} ClosestName;

extern ClosestName flex_closest_begin(const char *given);
extern void flex_closest_compare(ClosestName *closest, const char *name);

#endif /* FLEX_CLOSEST_H */
