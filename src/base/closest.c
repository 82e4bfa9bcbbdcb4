/*
 * closest.c
 *		The name that was probably meant, for a HINT.
 *
 * Names are compared much as the server does for a column or an option that is not there: by
 * Levenshtein distance, of which up to four and up to a third of the length count.  It does so
 * with ClosestMatchState, which 15 does not have.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/varlena.h"

#include "base/closest.h"

#define MOST_DISTANCE 4

/* Nothing is near yet.  The text is copied into the current context. */
ClosestName
flex_closest_begin(const char *given)
{
	ClosestName closest = {.given = pstrdup(given)};
	int length = strlen(given);

	for (char *p = closest.given; *p; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	/* No name of ours is longer. */
	closest.distance = length < NAMEDATALEN ? Min(MOST_DISTANCE, (length + 2) / 3) + 1 : 0;
	return closest;
}

/* Compare with another name, in lower case, which is kept and not copied if it is nearer. */
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
