/*
 * forgetter.c
 *		Deletes requests that finished long ago, a portion at a time.
 *
 * Each portion is a transaction of its own, apart from the sending's.  Others may hang
 * anything on the table: foreign keys, triggers, rules, a publication.  A portion that
 * cannot be deleted is tried by halves, down to the requests that are to blame; these
 * are set aside for a while, and the log says why, once a minute per cause.
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

#define AT_ONCE 1000
#define MOST_FAILURES 20    /* in a portion: what is left of it is set aside without a try */
#define LOCK_TIMEOUT "50ms" /* that what others hang on the table may wait for a lock */
#define LOCKED_MS 60000     /* until a request is looked at again that somebody has locked */
#define PAUSE_MS 30000      /* when nothing is left to forget */
#define FAILED_MS 60000     /* when that has failed */

/* Requests that stay, in a portion. */
typedef struct Portion
{
	int64 put_off[AT_ONCE]; /* those that could not be deleted */
	int put_off_count;
	int64 untried[AT_ONCE]; /* those that were not tried, or that somebody has locked */
	int untried_count;
	int failures;
} Portion;

/* Say why requests stay.  error NULL: they are there still, and nothing was said. */
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

/* Take ids out of others; returns how many are left. */
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

/* A copy of ids in the current context. */
static int64 *
copy_ids(const int64 *ids, int count)
{
	int64 *copy = palloc(sizeof(int64) * Max(count, 1));

	memcpy(copy, ids, sizeof(int64) * count);
	return copy;
}

/* Note that requests could not be deleted. */
static void
put_off(Portion *portion, const int64 *ids, int count)
{
	Assert(portion->put_off_count + count <= AT_ONCE);
	memcpy(&portion->put_off[portion->put_off_count], ids, sizeof(int64) * count);
	portion->put_off_count += count;
}

/* Note that requests were not tried. */
static void
leave_untried(Portion *portion, const int64 *ids, int count)
{
	Assert(portion->untried_count + count <= AT_ONCE);
	memcpy(&portion->untried[portion->untried_count], ids, sizeof(int64) * count);
	portion->untried_count += count;
}

/* Have requests looked at again in a while. */
static void
set_aside(const int64 *ids, int count)
{
	TimestampTz *again_at = palloc(sizeof(TimestampTz) * Max(count, 1));

	for (int i = 0; i < count; i++)
		again_at[i] = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOCKED_MS);
	flex_forgetting_set_aside(ids, again_at, count);
}

/* Requests that are to be deleted, and how many were. */
typedef struct Deletion
{
	const int64 *ids;
	int count;
	int deleted;
} Deletion;

/*
 * Delete requests, and let what others hang on the table do no more than that: it gets no
 * rights that outlast this, changes no setting, and holds nobody up for long.
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

/* Delete what can be deleted, and put the rest off. */
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

/* Delete requests.  Those that somebody has locked are set aside, and traces of those that are gone deleted. */
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
 * Delete or set aside requests of a list, up to the first that is too young.  Returns how
 * many were dealt with.
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

/* Forget a portion of what was set aside, and one from the mark on; false when that was all. */
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

/* True when a deletion would run somebody's triggers with the rights of the outbox's owner: nothing is deleted then. */
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

/* Forget a portion, in a transaction of its own.  True when there is more to forget at once. */
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
 * Forget a portion.  What fails there is no concern of the sending's: the log says so.
 * Returns after how many milliseconds to go on.
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
