/*
 * refusals.c
 *		What others hang on the outbox's tables may refuse what is written there.
 *
 * Triggers, rules, constraints, policies and publications of the database's owner or of a
 * superuser: what they raise concerns some rows, and must not end a turn that
 * has those of others.  So what is written is an attempt (base/attempt), and its error is told
 * once a minute per cause.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/clock.h"
#include "outbox/refusals.h"

#define WARNING_MS 60000 /* between two warnings of the same cause */
#define CAUSES 8         /* that are kept in mind */

/* A cause that was warned of. */
typedef struct Cause
{
	int sqlerrcode;
	NameData table;
	int64 warned_at; /* flex_clock_ms(); 0: none */
} Cause;

/* True when this cause has not been told of for a while; from now on it has. */
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
