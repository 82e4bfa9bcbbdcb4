/*
 * refusals.c
 *		Rate limit for warnings about writes to the outbox's tables that were refused.
 *
 * Triggers, rules, constraints, policies and publications that users have added to the tables
 * can raise errors.  Such an error concerns some rows only, and must not abort a transaction
 * that also writes others.  So the writes are subtransactions (base/attempt), and their errors
 * become warnings, of which this module admits one per minute and cause.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/clock.h"
#include "outbox/refusals.h"

#define WARNING_MS 60000 /* between two warnings about the same cause */
#define CAUSES 8         /* causes that a session remembers */

/* A cause for which a warning was issued. */
typedef struct Cause
{
	int sqlerrcode;
	NameData table;
	int64 warned_at; /* flex_clock_ms(); 0: the entry is free */
} Cause;

/* Return true if the caller may issue a warning about this cause, and count it as issued. */
bool
flex_refusals_may_warn(int sqlerrcode, const char *table)
{
	static Cause causes[CAUSES];
	static int next;
	int64 now = flex_clock_ms();

	for (int i = 0; i < CAUSES; i++)
	{
		Cause *cause = &causes[i];

		if (cause->warned_at == 0 || cause->sqlerrcode != sqlerrcode || strcmp(NameStr(cause->table), table) != 0)
			continue;
		if (now - cause->warned_at < WARNING_MS)
			return false;
		cause->warned_at = now;
		return true;
	}
	causes[next].sqlerrcode = sqlerrcode;
	namestrcpy(&causes[next].table, table);
	causes[next].warned_at = now;
	next = (next + 1) % CAUSES;
	return true;
}
