/*
 * counts.c
 *		How many requests have finished, by role, operation and state.
 *
 * That is the sum of rows of flex_outbox_counts, each of which says what one statement has
 * changed: nobody updates one, and so nobody waits for another.  Whatever makes a new turn of a
 * request counts it itself: the settling (settled_rows.c), and a retry.  All else is counted by
 * triggers of the table.  Those of the last minute are kept apart; older ones are added up.
 *
 * The caller has connected to SPI, and stands between flex_outbox_enter() and
 * flex_outbox_leave().
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "outbox/counts.h"
#include "outbox/statements.h"

#define MOST_OLD 200 /* rows that stay as they are: an outbox that has come to rest writes nothing */

static Statement take_request = {
	.sql = "INSERT INTO $t.flex_outbox_counts (role_id, operation, state, at, requests) "
		   "SELECT role_id, operation, state, finished_at, -1 FROM $t.flex_outbox_requests "
		   "WHERE id = $1 AND finished_at IS NOT NULL",
	.types = {INT8OID},
};

/* If a request has finished, do not count it any more: it gets another turn. */
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

/* What another adds up at the same time is its to delete. */
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

/* Add up the rows that are older than a minute; nothing is written where there are few. */
void
flex_counts_fold(void)
{
	if (flex_statement_execute(&many_old, NULL, NULL) > 0)
		(void) flex_statement_execute(&fold, NULL, NULL);
}
