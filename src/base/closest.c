/*
 * closest.c
 *		Finds the name that was probably meant, for a HINT.
 *
 * Names are compared by their Levenshtein distance, which must not exceed four, and a third
 * of the length.  This is like ClosestMatchState, which PostgreSQL 15 does not have.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/varlena.h"

#include "base/closest.h"

#define MOST_DISTANCE 4

/* Begin to search for a name, which is copied into the current context. */
ClosestName
flex_closest_begin(const char *given)
{
	ClosestName closest = {.given = pstrdup(given)};
	int length = strlen(given);

	for (char *p = closest.given; *p; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	/* A longer name cannot be a misspelled one of ours. */
	closest.distance = length < NAMEDATALEN ? Min(MOST_DISTANCE, (length + 2) / 3) + 1 : 0;
	return closest;
}

/* Compare with a candidate, which must be in lower case.  It is not copied. */
void
flex_closest_compare(ClosestName *closest, const char *name)
{
	int distance;

	if (closest->distance == 0)
		return;
	distance = varstr_levenshtein_less_equal(closest->given, strlen(closest->given), name, strlen(name), 1, 1, 1,
											 closest->distance - 1, true);
	if (distance >= closest->distance)
		return;
	closest->found = name;
	closest->distance = distance;
}
