/*
 * callback_rows.c
 *		Callbacks that have not run without error: the rows of flex_outbox_callbacks.
 *
 * The settlement gives a request its final state before the callback runs, so the callback
 * needs no update of the request's row.  Rows that another session has locked, for instance
 * by flex_outbox_retry() in a transaction that stays open, are skipped.
 *
 * The caller must have connected to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/callback_rows.h"
#include "outbox/ordered_rows.h"
#include "outbox/reduction.h"
#include "outbox/roles.h"
#include "outbox/statements.h"

static const ResultColumn claimed_columns[] = {
	RESULT_COLUMN("id", INT8OID, Callback, id),
	RESULT_COLUMN("attempts", INT4OID, Callback, attempts),
	RESULT_COLUMN("due_at", TIMESTAMPTZOID, Callback, again_at),
};

/*
 * Claim the first due callback of a role.  Its attempt is counted, and its next one planned, before it
 * runs: a callback that crashes the process must not be the first one again at once.
 */
static Statement claim_callback = {
	.sql = "UPDATE $t.flex_outbox_callbacks SET attempts = least(attempts, 2147483646) + 1, due_at = "
		   "clock_timestamp() + least(power(2, least(attempts, 20)), 3600) * interval '1 second' "
		   "WHERE id = (SELECT id FROM $t.flex_outbox_callbacks WHERE role_id = " ID_OF_ROLE(
			   "$1") " "
					 "AND due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING $result",
	.types = {OIDOID},
	.result = claimed_columns,
	.result_count = lengthof(claimed_columns),
};

/* Claim a role's next due callback for this process.  Return false if none is due. */
bool
flex_outbox_claim_callback(Oid role, Callback *callback)
{
	Datum values[] = {ObjectIdGetDatum(role)};

	memset(callback, 0, sizeof(Callback));
	if (flex_statement_execute(&claim_callback, values, NULL) == 0)
		return false;
	flex_statement_read(&claim_callback, 0, callback);
	return true;
}

static const ResultColumn called_columns[] = {
	RESULT_COLUMN(ROLE_OF_ID("o.role_id"), OIDOID, Callback, role),
	RESULT_COLUMN("CASE WHEN o.state = 'succeeded' THEN o.on_success ELSE o.on_failure END", TEXTOID, Callback,
				  function),
	RESULT_COLUMN("CASE WHEN o.state = 'succeeded' THEN o.on_success_owner ELSE o.on_failure_owner END", OIDOID,
				  Callback, owner),
	RESULT_COLUMN("o.state", TEXTOID, Callback, state),
	RESULT_COLUMN("b.role_id", INT4OID, Callback, role_id),
	RESULT_COLUMN("o.ordering_key", TEXTOID, Callback, ordering_key),
};

/*
 * Lock a claimed callback, and change its row to what it is after a success: the callback sees its own
 * request that way.  $1 to $3 identify the claim.
 */
static Statement begin_callback = {
	.sql = "WITH begun AS (UPDATE $t.flex_outbox_callbacks SET due_at = NULL, error = NULL, attempts = attempts - 1 "
		   "WHERE id = (SELECT id FROM $t.flex_outbox_callbacks WHERE id = $1 AND attempts = $2 AND due_at = $3 "
		   "FOR UPDATE SKIP LOCKED) RETURNING id, role_id) "
		   "SELECT $result FROM begun AS b LEFT JOIN $t.flex_outbox_requests AS o ON o.id = b.id "
		   "AND o.role_id = b.role_id",
	.types = {INT8OID, INT4OID, TIMESTAMPTZOID},
	.result = called_columns,
	.result_count = lengthof(called_columns),
};

/* The request's row as callbacks get it: of the view's row type. */
static Statement read_row = {
	.sql = "SELECT o FROM $t.flex_outbox AS o WHERE id = $1",
	.types = {INT8OID},
};

static Statement end_callback = {
	.sql = "DELETE FROM $t.flex_outbox_callbacks WHERE id = $1",
	.types = {INT8OID},
};

/* After the last attempt of a callback, let the next request of the ordering key be sent. */
static void
end_order(const Callback *callback)
{
	if (callback->ordering_key != NULL)
		flex_ordered_end(&(OrderedRequest){callback->role_id, callback->ordering_key, callback->id}, 1);
}

/* Delete a callback that has succeeded, or whose request no longer exists, and record the request's end. */
void
flex_outbox_end_callback(const Callback *callback)
{
	Datum values[] = {Int64GetDatum(callback->id)};

	Assert(callback->id != 0);
	(void) flex_statement_execute(&end_callback, values, NULL);
	flex_outbox_reduce(callback->id);
	end_order(callback);
}

/*
 * Begin a claimed callback: lock its row until the transaction ends, and fill in the rest of *callback.
 * Return false if the claim is void, another session has locked the row, or the request was deleted.
 */
bool
flex_outbox_begin_callback(Callback *callback)
{
	Datum values[] = {Int64GetDatum(callback->id), Int32GetDatum(callback->attempts),
					  TimestampTzGetDatum(callback->again_at)};

	Assert(callback->id != 0 && callback->attempts > 0);
	callback->state = NULL;
	callback->ordering_key = NULL;
	if (flex_statement_execute(&begin_callback, values, NULL) == 0)
		return false;
	flex_statement_read(&begin_callback, 0, callback);
	if (callback->state == NULL || flex_statement_execute(&read_row, values, NULL) == 0)
	{
		flex_outbox_end_callback(callback);
		return false;
	}
	callback->row = flex_statement_value(0, 1);
	callback->row_type = SPI_gettypeid(SPI_tuptable->tupdesc, 1);
	return true;
}

static Statement find_claimed = {
	.sql = "SELECT FROM $t.flex_outbox_callbacks WHERE id = $1 AND attempts = $2 AND due_at = $3",
	.types = {INT8OID, INT4OID, TIMESTAMPTZOID},
};

/* Return true if the claim of a callback is still valid, whether another session has locked its row or not. */
bool
flex_outbox_callback_is_claimed(const Callback *callback)
{
	Datum values[] = {Int64GetDatum(callback->id), Int32GetDatum(callback->attempts),
					  TimestampTzGetDatum(callback->again_at)};

	return flex_statement_execute(&find_claimed, values, NULL) > 0;
}

static Statement fail_callback = {
	.sql = "UPDATE $t.flex_outbox_callbacks SET attempts = $2, error = $3, due_at = $4 WHERE id = $1",
	.types = {INT8OID, INT4OID, TEXTOID, TIMESTAMPTZOID},
};

/* Record the error of a callback, and when to run it again, or 0 for never. */
void
flex_outbox_fail_callback(const Callback *callback, const char *error, TimestampTz again_at)
{
	Datum values[] = {Int64GetDatum(callback->id), Int32GetDatum(callback->attempts), CStringGetTextDatum(error),
					  TimestampTzGetDatum(again_at)};

	Assert(callback->id != 0 && error != NULL);
	flex_statement_execute(&fail_callback, values, again_at == 0 ? "   n" : NULL);
	if (again_at == 0)
		end_order(callback);
}

static Statement next_callback = {
	.sql = "SELECT due_at FROM $t.flex_outbox_callbacks WHERE role_id = " ID_OF_ROLE("$1") " AND due_at IS NOT NULL "
																						   "ORDER BY due_at LIMIT 1",
	.types = {OIDOID},
};

/* Return when a role's next callback is due, or 0 if there is none. */
TimestampTz
flex_outbox_next_callback(Oid role)
{
	Datum values[] = {ObjectIdGetDatum(role)};
	uint64 count = flex_statement_execute(&next_callback, values, NULL);

	return count == 0 ? 0 : DatumGetTimestampTz(flex_statement_value(0, 1));
}

static const ResultColumn role_columns[] = {
	RESULT_COLUMN("m.role", OIDOID, CallbackRole, role),
	RESULT_COLUMN("r.due_at", TIMESTAMPTZOID, CallbackRole, due_at),
};

/* A loose index scan: one index probe per role finds the first callback of the next role. */
static Statement list_roles = {
	.sql = "WITH RECURSIVE roles AS ("
		   "(SELECT role_id, due_at FROM $t.flex_outbox_callbacks WHERE due_at IS NOT NULL "
		   "ORDER BY role_id, due_at LIMIT 1) "
		   "UNION ALL SELECT next.* FROM roles AS r, LATERAL ("
		   "SELECT role_id, due_at FROM $t.flex_outbox_callbacks AS o WHERE due_at IS NOT NULL "
		   "AND o.role_id > r.role_id ORDER BY role_id, due_at LIMIT 1) AS next) "
		   "SELECT $result FROM roles AS r, LATERAL (SELECT o.role FROM $t.flex_outbox_role_oids AS o "
		   "WHERE o.id = r.role_id OFFSET 0) AS m ORDER BY m.role",
	.result = role_columns,
	.result_count = lengthof(role_columns),
};

/*
 * Return the roles that have callbacks to run, ordered by OID, allocated in the current memory context,
 * and their number in *count.
 */
CallbackRole *
flex_outbox_callback_roles(int *count)
{
	CallbackRole *roles;

	*count = (int) flex_statement_execute(&list_roles, NULL, NULL);
	roles = palloc0(sizeof(CallbackRole) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		flex_statement_read(&list_roles, i, &roles[i]);
	return roles;
}
