/*
 * counts.c
 *		Counts of finished requests, by role, operation and state.
 *
 * A count is the sum of rows of flex_outbox_counts.  Each row has the change that one
 * statement has made, and no row is updated, so sessions do not wait for each other.
 * Statements that begin a new turn of a request (settlements and retries) insert these rows
 * themselves; other changes are counted by triggers of the table of requests.  The rows of the
 * last minute show the present throughput; older ones are added up.
 *
 * The caller must have connected to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "outbox/counts.h"
#include "outbox/statements.h"

#define MOST_OLD 200 /* so many old rows are not added up, so that an idle outbox writes nothing */

static Statement add_finished = {
	.sql = "INSERT INTO $t.flex_outbox_counts (role_id, operation, state, at, requests, error_id) "
		   "VALUES ($1, $2, $3, clock_timestamp(), $4, $5)",
	.types = {INT4OID, TEXTOID, TEXTOID, INT8OID, INT8OID},
};

/* Return true if two requests are counted in the same row. */
static bool
are_of_a_kind(const FinishedRequest *a, const FinishedRequest *b)
{
	return a->role_id == b->role_id && strcmp(a->operation, b->operation) == 0 && strcmp(a->state, b->state) == 0;
}

/* Insert the row that counts those of the requests that are of the kind of the first one. */
static void
add_kind_of_first(const FinishedRequest *requests, int count)
{
	int64 of_a_kind = 0;
	int64 error_id = 0;
	Datum values[5] = {Int32GetDatum(requests->role_id), CStringGetTextDatum(requests->operation),
					   CStringGetTextDatum(requests->state)};
	char nulls[5] = {' ', ' ', ' ', ' ', ' '};

	for (int i = 0; i < count; i++)
	{
		if (!are_of_a_kind(&requests[i], requests))
			continue;
		of_a_kind++;
		error_id = Max(error_id, requests[i].error_id);
	}
	values[3] = Int64GetDatum(of_a_kind);
	values[4] = Int64GetDatum(error_id);
	if (error_id == 0)
		nulls[4] = 'n';
	(void) flex_statement_execute(&add_finished, values, nulls);
}

/* Count requests that have finished, with a row for each role, operation and state. */
void
flex_counts_add(const FinishedRequest *requests, int count)
{
	for (int i = 0; i < count; i++)
	{
		int before = 0;

		while (!are_of_a_kind(&requests[before], &requests[i]))
			before++;
		if (before == i)
			add_kind_of_first(&requests[i], count - i);
	}
}

static Statement take_request = {
	.sql = "INSERT INTO $t.flex_outbox_counts (role_id, operation, state, at, requests) "
		   "SELECT role_id, operation, state, finished_at, -1 FROM $t.flex_outbox_requests "
		   "WHERE id = $1 AND finished_at IS NOT NULL",
	.types = {INT8OID},
};

/* Subtract a request, if it has finished, because it is about to be made pending in a new turn. */
void
flex_counts_take(int64 id)
{
	Datum values[] = {Int64GetDatum(id)};

	(void) flex_statement_execute(&take_request, values, NULL);
}

static Statement many_old = {
	.sql = "SELECT FROM $t.flex_outbox_counts WHERE at < now() - interval '1 minute' AND at > '-infinity' "
		   "OFFSET " CppAsString2(MOST_OLD) " LIMIT 1",
};

/*
 * Replace the old rows of each role, operation and state by one with at = -infinity.  Rows that another
 * session has locked are skipped: it is doing the same with them.
 */
static Statement fold = {
	.sql = "WITH old AS (DELETE FROM $t.flex_outbox_counts WHERE ctid = ANY (ARRAY(SELECT ctid "
		   "FROM $t.flex_outbox_counts WHERE at < now() - interval '1 minute' FOR UPDATE SKIP LOCKED)) "
		   "RETURNING role_id, operation, state, at, requests, error_id, last_at) "
		   "INSERT INTO $t.flex_outbox_counts (role_id, operation, state, at, requests, error_id, last_at) "
		   "SELECT role_id, operation, state, '-infinity', sum(requests), "
		   "(array_agg(error_id ORDER BY at DESC, error_id DESC) FILTER (WHERE error_id IS NOT NULL))[1], "
		   "max(greatest(at, last_at)) FILTER (WHERE requests > 0) "
		   "FROM old GROUP BY role_id, operation, state HAVING sum(requests) <> 0",
};

/* Add up the rows that are older than a minute, if there are more than MOST_OLD. */
void
flex_counts_fold(void)
{
	if (flex_statement_execute(&many_old, NULL, NULL) > 0)
		(void) flex_statement_execute(&fold, NULL, NULL);
}
