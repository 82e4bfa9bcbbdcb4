/*
 * attempt.c
 *		Calls a function in a subtransaction, and returns its error.
 *
 * After an error, locks, buffer pins and a changed user ID may be left behind, even by a
 * mere catalog lookup.  Only the abort of a subtransaction releases all of them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/attempt.h"
#include "base/errors.h"

/*
 * Call step(argument) in a subtransaction.  Return NULL if it succeeds.  If it raises an
 * error, roll back and return the error, in the current context; a cancel of the statement
 * is raised again instead.
 */
ErrorData *
flex_attempt(void (*step)(void *argument), void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		step(argument);
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
