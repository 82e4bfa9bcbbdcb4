/*
 * refusals.c
 *		What others hang on the outbox's tables may refuse what is written there.
 *
 * Triggers, rules, constraints, policies and publications of the database's owner or of a
 * superuser: what they raise concerns some rows, and must not end a turn that
 * has those of others.  So it is tried in a subtransaction, and told once a minute per cause.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/clock.h"
#include "base/errors.h"
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

/*
 * Write in a subtransaction.  Returns NULL, or the error, in the current context, after
 * undoing what was done.  A cancel that is meant for us is raised.
 */
ErrorData *
flex_refusals_try(void (*write)(void *argument), void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		write(argument);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = flex_error_take();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && flex_error_is_cancel(error))
		flex_error_rethrow(error);
	return error;
}

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
