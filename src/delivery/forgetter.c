/*
 * forgetter.c
 *		Deletes requests that finished longer ago than flex_api.outbox_retention.
 *
 * They are deleted in portions, each in a transaction of its own, in which nothing is sent.
 * Users may have added foreign keys, triggers, rules or publications to the table.  If a
 * portion cannot be deleted, each half of it is tried, and so on down to the single requests
 * that cause the failure.  These are tried again after a while, and the log says why they
 * could not be deleted, at most once per minute and cause.
 *
 * The position up to which all requests have been looked at is kept in a table (the
 * ForgettingMark); requests before it that were left are kept in another.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/attempt.h"
#include "base/errors.h"
#include "base/settings.h"
#include "delivery/forgetter.h"
#include "outbox/forgetting.h"
#include "outbox/refusals.h"

#define AT_ONCE 1000        /* requests in a portion */
#define MOST_FAILURES 20    /* of single requests in a portion; then its rest is set aside without a try */
#define LOCK_TIMEOUT "50ms" /* for locks that triggers and foreign keys of the table wait for */
#define LOCKED_MS 60000     /* until a request that was locked or not tried is looked at again */
#define PAUSE_MS 30000      /* until the next run, if nothing is left to delete */
#define FAILED_MS 60000     /* until the next run after an error */

/* The ids of a portion's requests that were not deleted. */
typedef struct Portion
{
	int64 put_off[AT_ONCE]; /* deletion failed */
	int put_off_count;
	int64 untried[AT_ONCE]; /* not tried, or failed because of a lock */
	int untried_count;
	int failures; /* of single requests */
} Portion;

/*
 * Warn that requests could not be deleted, at most once per minute and cause.  error is NULL if
 * the DELETE succeeded without having deleted them.
 */
static void
warn(const ErrorData *error)
{
	const char *table = error != NULL && error->table_name != NULL ? error->table_name : "flex_outbox_requests";
	int sqlerrcode = error != NULL ? error->sqlerrcode : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;

	if (!flex_refusals_may_warn(sqlerrcode, table))
		return;
	ereport(WARNING,
			(errcode(sqlerrcode), errmsg("finished requests of the Flex API outbox could not be deleted"),
			 error != NULL ? errdetail("Table \"%s\": %s", table, error->message)
						   : errdetail("Table \"%s\": a trigger or a rule has kept them.", table),
			 sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION
				 ? errhint("Delete the rows of \"%s\" that refer to them. They are tried again after a while.", table)
				 : errhint("Look at the triggers, rules, constraints and publications of table \"%s\". They are tried "
						   "again after a while.",
						   table)));
}

/* Remove the given ids from an array, keeping its order.  Return how many are left in it. */
static int
subtract(int64 *from, int count, const int64 *ids, int ids_count)
{
	int left = 0;

	for (int i = 0; i < count; i++)
	{
		bool found = false;

		for (int j = 0; j < ids_count && !found; j++)
			found = ids[j] == from[i];
		if (!found)
			from[left++] = from[i];
	}
	return left;
}

/* Return a copy of an array of ids, in the current memory context. */
static int64 *
copy_ids(const int64 *ids, int count)
{
	int64 *copy = palloc(sizeof(int64) * Max(count, 1));

	memcpy(copy, ids, sizeof(int64) * count);
	return copy;
}

/* Note in the portion that requests could not be deleted. */
static void
put_off(Portion *portion, const int64 *ids, int count)
{
	Assert(portion->put_off_count + count <= AT_ONCE);
	memcpy(&portion->put_off[portion->put_off_count], ids, sizeof(int64) * count);
	portion->put_off_count += count;
}

/* Note in the portion that requests were not tried. */
static void
leave_untried(Portion *portion, const int64 *ids, int count)
{
	Assert(portion->untried_count + count <= AT_ONCE);
	memcpy(&portion->untried[portion->untried_count], ids, sizeof(int64) * count);
	portion->untried_count += count;
}

/* Record that requests are to be looked at again after LOCKED_MS. */
static void
set_aside(const int64 *ids, int count)
{
	TimestampTz *again_at = palloc(sizeof(TimestampTz) * Max(count, 1));

	for (int i = 0; i < count; i++)
		again_at[i] = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOCKED_MS);
	flex_forgetting_set_aside(ids, again_at, count);
}

/* Argument of delete_guarded(): requests to delete, and, set by it, how many were deleted. */
typedef struct Deletion
{
	const int64 *ids;
	int count;
	int deleted;
} Deletion;

/*
 * Delete requests.  As users' triggers may run, this is a security-restricted operation; settings
 * that they change are reset, and they cannot wait long for a lock.  On error, the caller's
 * subtransaction restores the user and the settings.
 */
static void
delete_guarded(void *argument)
{
	Deletion *deletion = argument;
	Oid user;
	int security;
	int nest_level = NewGUCNestLevel();

	GetUserIdAndSecContext(&user, &security);
	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(user, security | SECURITY_RESTRICTED_OPERATION);
	deletion->deleted = flex_forgetting_delete(deletion->ids, deletion->count);
	SetUserIdAndSecContext(user, security);
	AtEOXact_GUC(false, nest_level);
}

/*
 * Delete those requests that can be deleted, and note the others in the portion.  On failure
 * this calls itself for both halves.  ids is overwritten.
 */
static void
delete_by_halves(Portion *portion, int64 *ids, int count)
{
	Deletion deletion = {.ids = ids, .count = count};
	ErrorData *error;

	CHECK_FOR_INTERRUPTS();
	if (count == 0)
		return;
	if (portion->failures >= MOST_FAILURES)
	{
		leave_untried(portion, ids, count);
		return;
	}
	error = flex_attempt(delete_guarded, &deletion);
	if (error == NULL && deletion.deleted == count)
		flex_forgetting_delete_traces(ids, count);
	else if (error == NULL)
	{
		int64 *kept = copy_ids(ids, count);
		int kept_count = flex_forgetting_find(kept, count);

		flex_forgetting_delete_traces(ids, subtract(ids, count, kept, kept_count));
		put_off(portion, kept, kept_count);
		if (kept_count > 0)
			warn(NULL);
	}
	else if (count > 1)
	{
		delete_by_halves(portion, ids, count / 2);
		delete_by_halves(portion, ids + count / 2, count - count / 2);
	}
	else
	{
		portion->failures++;
		if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
			leave_untried(portion, ids, count);
		else
		{
			warn(error);
			put_off(portion, ids, count);
		}
	}
}

/*
 * Delete requests.  Set those aside that another session has locked.  For requests that are
 * gone already, delete only their rows in the forgetter's table.
 */
static void
delete_requests(int64 *ids, int count)
{
	Portion *portion = palloc0(sizeof(Portion));
	int64 *picked = copy_ids(ids, count);
	int picked_count = flex_forgetting_pick(picked, count);
	int64 *may_go;
	int may_go_count;

	if (picked_count < count)
	{
		int64 *there = copy_ids(ids, count);
		int there_count = flex_forgetting_find(there, count);

		flex_forgetting_delete_traces(ids, subtract(ids, count, there, there_count));
		there_count = subtract(there, there_count, picked, picked_count);
		set_aside(there, there_count);
	}
	may_go = copy_ids(picked, picked_count);
	may_go_count = flex_forgetting_recheck(flex_settings.outbox_retention, may_go, picked_count);
	set_aside(picked, subtract(picked, picked_count, may_go, may_go_count));
	delete_by_halves(portion, may_go, may_go_count);
	set_aside(portion->untried, portion->untried_count);
	flex_forgetting_put_off(portion->put_off, portion->put_off_count);
}

/*
 * Delete or set aside the requests of a list, up to the first one that is too young.  Return
 * how many these were.
 */
static int
deal_with(const OldRequest *list, int count)
{
	int64 *ids = palloc(sizeof(int64) * Max(count, 1));
	int64 *later = palloc(sizeof(int64) * Max(count, 1));
	TimestampTz *again_at = palloc(sizeof(TimestampTz) * Max(count, 1));
	int ids_count = 0;
	int later_count = 0;
	int done;

	for (done = 0; done < count && list[done].keeping != KEEP_YOUNG; done++)
	{
		if (list[done].keeping == KEEP_NOT)
			ids[ids_count++] = list[done].id;
		else
		{
			later[later_count] = list[done].id;
			again_at[later_count++] = list[done].again_at;
		}
	}
	flex_forgetting_set_aside(later, again_at, later_count);
	if (ids_count > 0)
		delete_requests(ids, ids_count);
	return done;
}

/*
 * Process one portion of the requests that were set aside, and one from the mark on, which is
 * advanced.  Return true if there may be more.
 */
static bool
forget_portion(ForgettingMark *mark)
{
	int retention = flex_settings.outbox_retention;
	int count;
	int done;
	OldRequest *list = flex_forgetting_left(retention, AT_ONCE, &count);
	bool more = count == AT_ONCE;

	(void) deal_with(list, count);
	list = flex_forgetting_next(mark, retention, AT_ONCE, &count);
	done = deal_with(list, count);
	if (done > 0)
		mark->below = list[done - 1].id + 1;
	flex_forgetting_advance(mark);
	return more || done == AT_ONCE;
}

/*
 * Return true, and warn, if deleting requests could run somebody's triggers with the rights of
 * the outbox's owner: a foreign key with an ON DELETE action changes another role's table.
 */
static bool
is_unsafe(void)
{
	const char *table = flex_forgetting_find_acting_key();

	if (table == NULL)
		return false;
	if (flex_refusals_may_warn(ERRCODE_INSUFFICIENT_PRIVILEGE, table))
		ereport(WARNING,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("finished requests of the Flex API outbox are not deleted"),
				 errdetail("Table \"%s\" would be changed with them: its foreign key has an ON DELETE action, and its "
						   "owner is no superuser.",
						   table),
				 errhint("Give the foreign key ON DELETE NO ACTION, or the table another owner.")));
	return true;
}

/*
 * Delete a portion in a transaction of its own, unless another process is doing so.  Return
 * true if there may be more.
 */
static bool
forget(Transaction *transaction)
{
	ForgettingMark mark;
	bool more = false;

	flex_transaction_begin(transaction);
	if (flex_outbox_tables_fit(0) && flex_forgetting_look(&mark, flex_settings.outbox_retention) && !is_unsafe() &&
		flex_forgetting_lock(&mark))
		more = forget_portion(&mark);
	flex_transaction_commit(transaction);
	return more;
}

/*
 * Delete a portion of old requests.  Return after how many milliseconds to call this again.
 * Errors are reported as warnings, so that they do not disturb the sending; a cancel is raised.
 */
int64
flex_forgetter_run(Transaction *transaction)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile int64 pause = PAUSE_MS;

	if (flex_settings.outbox_retention < 0)
		return PAUSE_MS;
	PG_TRY();
	{
		if (forget(transaction))
			pause = 0;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = flex_error_take();
		if (flex_error_is_cancel(error))
			flex_error_rethrow(error);
		flex_transaction_roll_back(transaction);
		ereport(WARNING,
				(errcode(error->sqlerrcode), errmsg("could not delete old requests of the Flex API outbox"),
				 errdetail_internal("%s", error->message), errhint("Sending goes on. It is tried again in a minute.")));
		FreeErrorData(error);
		pause = FAILED_MS;
	}
	PG_END_TRY();
	return pause;
}
