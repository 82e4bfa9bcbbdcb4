/*
 * callback_rests.c
 *		The roles for which no process that runs callbacks is started for now.
 *
 * If a role's process fails, the role "rests" before another one is started.  A role rests
 * whether or not there is a place for a process, so that many roles whose processes fail do not
 * take turns without a pause.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "delivery/callback_rests.h"

typedef struct Rest
{
	Oid role;
	int64 until;     /* flex_clock_ms(); CALLBACK_RESTS_FOR_GOOD: as long as the sender runs */
	bool is_awaited; /* the role has a callback due */
} Rest;

struct CallbackRests
{
	MemoryContext context;
	List *list; /* Rest; one for each role */
};

/* Create a list without any role, in the current memory context. */
CallbackRests *
flex_callback_rests_create(void)
{
	CallbackRests *rests = palloc0(sizeof(CallbackRests));

	rests->context = CurrentMemoryContext;
	return rests;
}

/* Return the rest of a role, or NULL. */
static Rest *
find(const CallbackRests *rests, Oid role)
{
	ListCell *cell;

	foreach (cell, rests->list)
	{
		Rest *rest = lfirst(cell);

		if (rest->role == role)
			return rest;
	}
	return NULL;
}

/* Have a role rest for some milliseconds, or CALLBACK_RESTS_FOR_GOOD. */
void
flex_callback_rests_begin(CallbackRests *rests, Oid role, int64 for_ms)
{
	Rest *rest = find(rests, role);

	if (rest == NULL)
	{
		MemoryContext before = MemoryContextSwitchTo(rests->context);

		rest = palloc0(sizeof(Rest));
		rest->role = role;
		rests->list = lappend(rests->list, rest);
		MemoryContextSwitchTo(before);
	}
	rest->until = for_ms == CALLBACK_RESTS_FOR_GOOD ? for_ms : flex_clock_ms() + for_ms;
}

/*
 * A role has a callback due.  Return for how many milliseconds it still rests, or
 * CALLBACK_RESTS_FOR_GOOD.  Return 0 if it does not rest; what is known of its rest is forgotten then.
 */
int64
flex_callback_rests_await(CallbackRests *rests, Oid role)
{
	Rest *rest = find(rests, role);
	int64 now = flex_clock_ms();

	if (rest == NULL)
		return 0;
	if (rest->until == CALLBACK_RESTS_FOR_GOOD)
		return CALLBACK_RESTS_FOR_GOOD;
	if (rest->until > now)
	{
		rest->is_awaited = true;
		return rest->until - now;
	}
	rests->list = list_delete_ptr(rests->list, rest);
	pfree(rest);
	return 0;
}

/* Begin a new look for due callbacks: none of the roles that rest is known to have one. */
void
flex_callback_rests_await_none(CallbackRests *rests)
{
	ListCell *cell;

	foreach (cell, rests->list)
		((Rest *) lfirst(cell))->is_awaited = false;
}

/* Return true if a role that rests has a callback due, which a process will run when the rest is over. */
bool
flex_callback_rests_any_is_awaited(const CallbackRests *rests)
{
	ListCell *cell;

	foreach (cell, rests->list)
	{
		if (((const Rest *) lfirst(cell))->is_awaited)
			return true;
	}
	return false;
}
