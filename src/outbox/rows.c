/*
 * rows.c
 *		Decisions about single requests, and the note of the last drain.
 *
 * A decision is a call of flex_outbox_retry(), flex_outbox_confirm() or flex_outbox_cancel().
 * It locks the request's row, and checks whether a sender has claimed the request or its
 * callback has still to run, before it changes anything.
 *
 * The caller must have connected to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "answer/identifier.h"
#include "outbox/access.h"
#include "outbox/counts.h"
#include "outbox/expiring_rows.h"
#include "outbox/lane_rows.h"
#include "outbox/ordered_rows.h"
#include "outbox/quota.h"
#include "outbox/reduction.h"
#include "outbox/roles.h"
#include "outbox/rows.h"
#include "outbox/settled_rows.h"
#include "outbox/statements.h"
#include "outbox/waiting_rows.h"
#include "request/catalogue.h"

static Statement find_key = {
	.sql = "SELECT id FROM $t.flex_outbox_requests WHERE role_id = $1 AND unique_key = $2",
	.types = {INT4OID, TEXTOID},
};

/* In the tables of the first version. */
static Statement find_key_at_first = {
	.sql = "SELECT id FROM $t.flex_outbox WHERE enqueued_role = $1 AND unique_key = $2",
	.types = {OIDOID, TEXTOID},
};

/*
 * Return the id of the request of a role that has a unique key, or 0.  role_id is the role's number;
 * it is 0 for tables of the first version, and only then the OID is used.
 */
int64
flex_outbox_find_key(Oid role, int role_id, const char *unique_key)
{
	Datum values[] = {role_id != 0 ? Int32GetDatum(role_id) : ObjectIdGetDatum(role), CStringGetTextDatum(unique_key)};

	if (flex_statement_execute(role_id != 0 ? &find_key : &find_key_at_first, values, NULL) == 0)
		return 0;
	return DatumGetInt64(flex_statement_value(0, 1));
}

/*
 * Requests whose server cannot be reached (08001) or refuses the credentials (TW401) are left out:
 * they are held back together (delivery/holds), and released together.  Rows that are locked by
 * another session are skipped, and become due at their own times.
 */
static Statement hurry_mended = {
	.sql = "UPDATE $t.flex_outbox_later SET due_at = clock_timestamp(), cause = NULL WHERE ctid = ANY (ARRAY("
		   "SELECT ctid FROM $t.flex_outbox_later WHERE cause NOT IN ('08001', 'TW401') AND due_at > clock_timestamp() "
		   "FOR UPDATE SKIP LOCKED))",
};

/* Make requests due that wait for an operator.  Return their number. */
int
flex_outbox_hurry_mended(void)
{
	return (int) flex_statement_execute(&hurry_mended, NULL, NULL);
}

/*
 * Update the time of the last drain, and the worker's PID ($1) if it is not NULL.  The row is written
 * only if the time is more than an hour old or the PID is another one, so that an idle outbox writes
 * nothing, and it is skipped if another session has locked it.
 */
static Statement note_drain = {
	.sql = "UPDATE $t.flex_outbox_activity SET last_drain_at = now(), worker_pid = coalesce($1, worker_pid) "
		   "WHERE only_row = (SELECT only_row FROM $t.flex_outbox_activity WHERE only_row "
		   "AND (last_drain_at IS NULL OR last_drain_at < now() - interval '1 hour' OR worker_pid <> $1 "
		   "OR ($1 IS NOT NULL AND worker_pid IS NULL)) FOR NO KEY UPDATE SKIP LOCKED)",
	.types = {INT4OID},
};

/* Note that this process looks for requests to send. */
void
flex_outbox_note_drain(bool is_worker)
{
	Datum values[] = {Int32GetDatum(MyProcPid)};

	(void) flex_statement_execute(&note_drain, values, is_worker ? NULL : "n");
}

static Statement was_drained = {
	.sql = "SELECT FROM $t.flex_outbox_activity WHERE only_row AND last_drain_at > now() - interval '1 day'",
};

/* Return true if a process has looked for requests to send within the last day. */
bool
flex_outbox_was_drained(void)
{
	return flex_statement_execute(&was_drained, NULL, NULL) > 0;
}

/* A request about which a decision is made. */
typedef struct LockedRequest
{
	char *state;
	char *operation;
	bool foreign; /* was enqueued in another database, of which this one is a copy */
	int turn;
	uint64 enqueued_xid;
	int role_id;
	char *account_sid;
	char *server;
	int priority;
	TimestampTz run_at;
	char *ordering_key;
	bool is_reduced; /* its arguments have been reduced to identifiers, so it cannot be sent again */
} LockedRequest;

static const ResultColumn locked_columns[] = {
	RESULT_COLUMN("state", TEXTOID, LockedRequest, state),
	RESULT_COLUMN("operation", TEXTOID, LockedRequest, operation),
	RESULT_COLUMN("enqueued_in <> $3", BOOLOID, LockedRequest, foreign),
	RESULT_COLUMN("turn", INT4OID, LockedRequest, turn),
	RESULT_COLUMN("enqueued_xid", XID8OID, LockedRequest, enqueued_xid),
	RESULT_COLUMN("role_id", INT4OID, LockedRequest, role_id),
	RESULT_COLUMN("account_sid", TEXTOID, LockedRequest, account_sid),
	RESULT_COLUMN("server", TEXTOID, LockedRequest, server),
	RESULT_COLUMN("priority", INT4OID, LockedRequest, priority),
	RESULT_COLUMN("run_at", TIMESTAMPTZOID, LockedRequest, run_at),
	RESULT_COLUMN("ordering_key", TEXTOID, LockedRequest, ordering_key),
	RESULT_COLUMN("reduced_at IS NOT NULL", BOOLOID, LockedRequest, is_reduced),
};

/* Lock a request, of the role $2, or of any role if that is NULL. */
static Statement lock_request = {
	.sql = "SELECT $result FROM $t.flex_outbox_requests WHERE id = $1 "
		   "AND ($2 IS NULL OR role_id = $2) FOR UPDATE",
	.types = {INT8OID, INT4OID, OIDOID},
	.result = locked_columns,
	.result_count = lengthof(locked_columns),
};

/*
 * Find a live claim of a request.  This is executed after the request's row was locked: a sender
 * holds that lock until its claim is committed.
 */
static Statement find_claim = {
	.sql = "SELECT FROM $t.flex_outbox_claims AS c, unnest(c.requests, c.turns, c.enqueued_xids) AS r(id, turn, xid) "
		   "WHERE r.id = $1 AND r.turn > $2 AND r.xid = $3",
	.types = {INT8OID, INT4OID, XID8OID},
};

/* The times of a retried request. */
typedef struct Retried
{
	TimestampTz run_at;
	TimestampTz expires_at; /* 0: it does not expire */
} Retried;

static const ResultColumn retried_columns[] = {
	RESULT_COLUMN("run_at", TIMESTAMPTZOID, Retried, run_at),
	RESULT_COLUMN("expires_at", TIMESTAMPTZOID, Retried, expires_at),
};

/*
 * Make a request pending.  It gets a new turn, which makes claims and rows of flex_outbox_later of
 * earlier turns void.  A pending request that is due keeps its run_at.  A time of expiry that has
 * passed is removed: otherwise the request would expire at once.
 */
static Statement retry_request = {
	.sql = "UPDATE $t.flex_outbox_requests SET state = 'pending', attempts = 0, turn = turn + 1, "
		   "run_at = CASE state WHEN 'pending' THEN LEAST(run_at, $2) ELSE $2 END, finished_at = NULL, "
		   "expires_at = CASE WHEN expires_at > $2 THEN expires_at END WHERE id = $1 RETURNING $result",
	.types = {INT8OID, TIMESTAMPTZOID},
	.result = retried_columns,
	.result_count = lengthof(retried_columns),
};

static Statement retry_callback = {
	.sql = "UPDATE $t.flex_outbox_callbacks SET due_at = clock_timestamp(), attempts = 0 "
		   "WHERE id = $1 AND error IS NOT NULL",
	.types = {INT8OID},
};

static Statement find_callback = {
	.sql = "SELECT FROM $t.flex_outbox_callbacks WHERE id = $1 AND due_at IS NOT NULL AND error IS NULL",
	.types = {INT8OID},
};

static Statement forget_callback = {
	.sql = "DELETE FROM $t.flex_outbox_callbacks WHERE id = $1",
	.types = {INT8OID},
};

static Statement cancel_request = {
	.sql = "UPDATE $t.flex_outbox_requests SET state = 'cancelled', finished_at = clock_timestamp() WHERE id = $1",
	.types = {INT8OID},
};

/*
 * Return true if a sender has claimed the request, whose row the caller has locked.  A claim does not
 * change that row, so a transaction with an older snapshot could lock it without an error.  Therefore
 * the claim is looked for with the latest snapshot; if the transaction's snapshot does not show it,
 * raise 40001, as an update of the row would have done.
 */
static bool
is_claimed(int64 id, const LockedRequest *request)
{
	Datum values[] = {Int64GetDatum(id), Int32GetDatum(request->turn), Int64GetDatum((int64) request->enqueued_xid)};

	if (strcmp(request->state, "pending") != 0 || flex_statement_execute_latest(&find_claim, values, NULL) == 0)
		return false;
	if (IsolationUsesXactSnapshot() && flex_statement_execute(&find_claim, values, NULL) == 0)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("could not serialize access due to concurrent update"),
						errdetail("A sender has claimed request " INT64_FORMAT " since the transaction began.", id)));
	return true;
}

/* Return the lane of a request, which is created if there is none. */
static int
lane_of(const LockedRequest *request)
{
	LaneKey key = {
		.role_id = request->role_id,
		.account_sid = request->account_sid,
		.server = request->server,
		.operation = request->operation,
		.priority = request->priority,
	};

	return flex_lane_of_request(&key);
}

/*
 * Delete the row by which a pending request waits for a time.  If the row has another time than
 * run_at, it is not found; then flex_later_sweep() deletes it later.
 */
static void
end_wait(int64 id, const LockedRequest *request)
{
	LaterKey key = {.due_at = request->run_at, .id = id, .turn = request->turn};

	if (strcmp(request->state, "pending") != 0)
		return;
	key.lane = lane_of(request);
	flex_later_delete(&key, 1);
}

/* Make a request pending and due, in a new turn, with the rows that such a request has in other tables. */
static void
make_pending(int64 id, const LockedRequest *request)
{
	Datum values[] = {Int64GetDatum(id), TimestampTzGetDatum(GetCurrentTimestamp())};

	flex_counts_take(id);
	if (flex_statement_execute(&retry_request, values, NULL) > 0)
	{
		Retried retried = {0};

		flex_statement_read(&retry_request, 0, &retried);
		flex_later_add(lane_of(request), retried.run_at, id, request->turn + 1);
		if (retried.expires_at != 0)
			flex_expiring_add(retried.expires_at, &id, 1, request->turn + 1);
		if (request->ordering_key != NULL)
			flex_ordered_add(&(OrderedRequest){request->role_id, request->ordering_key, id}, 1);
		/* The quota does not apply to retries, but they count when requests are enqueued later. */
		if (strcmp(request->state, "pending") != 0)
			flex_quota_note(request->role_id, &id, 1);
	}
}

/* Update a request as if it had been answered, and insert its callback, if it has one, as due. */
static Statement confirm_request = {
	.sql =
		"WITH confirmed AS (UPDATE $t.flex_outbox_requests SET state = 'succeeded', finished_at = clock_timestamp(), "
		"error_code = NULL, error_message = NULL, response = coalesce($2, response), sid = coalesce($3, sid) "
		"WHERE id = $1 RETURNING id, role_id, on_success) "
		"INSERT INTO $t.flex_outbox_callbacks (id, role_id, due_at) SELECT id, role_id, clock_timestamp() "
		"FROM confirmed WHERE on_success IS NOT NULL",
	.types = {INT8OID, JSONBOID, TEXTOID},
};

/* Return the SID of the resource that an answer names, or NULL if the answer is unknown or has none. */
static char *
sid_of(const char *operation_name, Jsonb *response)
{
	const Operation *operation = flex_operation_find(operation_name);
	const char *key = operation != NULL && operation->key != NULL ? operation->key : "sid";
	char *text;

	if (response == NULL)
		return NULL;
	text = JsonbToCString(NULL, &response->root, VARSIZE(response));
	return flex_identifier_find(text, strlen(text), key);
}

/*
 * Lock a request until the transaction ends, and read it into *request.  Set *state to the state that
 * the views show, which is "sending" for a request that is claimed or whose callback has still to run.
 * Return false if the role (InvalidOid: any role) has no such request.
 */
static bool
lock_to_decide(int64 id, Oid role, const char *role_name, LockedRequest *request, const char **state)
{
	Datum values[] = {Int64GetDatum(id), (Datum) 0, ObjectIdGetDatum(MyDatabaseId)};

	/* The table must be locked before the role's number is looked up, which would change if it were created anew. */
	(void) flex_outbox_lock_requests();
	if (OidIsValid(role))
		values[1] = Int32GetDatum(flex_outbox_find_role(role, role_name));
	if (flex_statement_execute(&lock_request, values, OidIsValid(role) ? NULL : " n ") == 0)
		return false;
	flex_statement_read(&lock_request, 0, request);
	*state = is_claimed(id, request) || flex_statement_execute(&find_callback, values, NULL) > 0 ? "sending"
																								 : request->state;
	return true;
}

/*
 * Record that an uncertain request was carried out, and its answer (NULL: unknown).  For the
 * arguments "role" and "role_name" and the result see flex_outbox_decide().
 */
const char *
flex_outbox_confirm(int64 id, Oid role, const char *role_name, Jsonb *response)
{
	LockedRequest request = {0};
	const char *state;
	char *sid;
	Datum values[] = {Int64GetDatum(id), JsonbPGetDatum(response), (Datum) 0};
	char nulls[] = {' ', response == NULL ? 'n' : ' ', ' '};

	if (!lock_to_decide(id, role, role_name, &request, &state))
		return "";
	if (strcmp(state, "uncertain") != 0)
		return psprintf("Its state is \"%s\".", state);
	sid = sid_of(request.operation, response);
	values[2] = sid != NULL ? CStringGetTextDatum(sid) : (Datum) 0;
	nulls[2] = sid != NULL ? ' ' : 'n';
	/* There is still a row of its on_failure callback, if that has failed. */
	flex_statement_execute(&forget_callback, values, NULL);
	if (flex_statement_execute(&confirm_request, values, nulls) > 0)
		return NULL;
	/* Without a callback, the request has ended now. */
	flex_outbox_reduce(id);
	flex_outbox_notify(id, "succeeded");
	if (request.ordering_key != NULL)
		flex_ordered_end(&(OrderedRequest){request.role_id, request.ordering_key, id}, 1);
	return NULL;
}

/*
 * Make a request pending and due again ("retry"), or cancel it.  It must be one of the role's, unless
 * that is InvalidOid.  Return NULL if this was done, "" if there is no such request, and otherwise a
 * sentence that says why it was refused.  Set *to_send to the operation's name, allocated in the
 * current memory context, if the request is to be sent again, else to NULL.
 */
const char *
flex_outbox_decide(int64 id, Oid role, const char *role_name, bool retry, char **to_send)
{
	Datum values[] = {Int64GetDatum(id)};
	LockedRequest request = {0};
	const char *state;

	*to_send = NULL;
	if (!lock_to_decide(id, role, role_name, &request, &state))
		return "";
	if (retry && request.foreign)
		return "It was enqueued in another database, of which this is a copy.";
	if (retry && request.is_reduced && strcmp(request.state, "succeeded") != 0)
		return "Its arguments have been reduced to identifiers (flex_api.outbox_keep).";
	/* For a request that has succeeded, a retry repeats its callback, if that has failed. */
	if (retry && strcmp(request.state, "succeeded") == 0 && flex_statement_execute(&retry_callback, values, NULL) > 0)
		return NULL;
	if (strcmp(state, "sending") == 0 || strcmp(state, "succeeded") == 0 || (!retry && strcmp(state, "cancelled") == 0))
		return psprintf("Its state is \"%s\".", state);
	end_wait(id, &request);
	/*
	 * This comes before any change of the request: it waits for a callback that is running, whose end
	 * is also the request's end in its ordering key.
	 */
	flex_statement_execute(&forget_callback, values, NULL);
	if (retry)
		make_pending(id, &request);
	else
	{
		flex_statement_execute(&cancel_request, values, NULL);
		flex_outbox_reduce(id);
	}
	if (!retry && request.ordering_key != NULL)
		flex_ordered_end(&(OrderedRequest){request.role_id, request.ordering_key, id}, 1);
	if (retry)
		*to_send = request.operation;
	return NULL;
}
