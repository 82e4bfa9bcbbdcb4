/*
 * attempt.c
 *		A step that may fail, in a subtransaction.
 *
 * An error that is caught may have left locks, pins and rights behind, even one of a
 * look-up; only the end of a subtransaction takes all of them back.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/attempt.h"
#include "base/errors.h"

/*
 * Take a step.  Returns NULL, or its error, in the current context, after undoing what it
 * did.  A cancel that is meant for us is raised.
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
