/*
 * reduction.c
 *		Reduction of ended requests to identifiers: flex_api.outbox_keep.
 *
 * A request without a callback is reduced by its settlement (delivery/settlement.c).  This
 * module is for requests that end otherwise: with their callback, or by a decision.  Failed
 * and uncertain requests are not reduced, because they can be retried or confirmed.
 *
 * The caller must have connected to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/jsonb.h"

#include "answer/jsonb_sids.h"
#include "base/attempt.h"
#include "base/settings.h"
#include "outbox/refusals.h"
#include "outbox/reduction.h"
#include "outbox/statements.h"

#define MOST_LOOKS 20       /* attempts to lock the row */
#define LOOK_AGAIN_US 50000 /* between two of them */

/* The columns of a request that are to be reduced. */
typedef struct Kept
{
	int64 id;
	Jsonb *arguments;
	Jsonb *context;  /* or NULL */
	Jsonb *response; /* or NULL */
	bool is_reduced; /* set when the row has been written */
} Kept;

static const ResultColumn kept_columns[] = {
	RESULT_COLUMN("o.arguments", JSONBOID, Kept, arguments),
	RESULT_COLUMN("o.context", JSONBOID, Kept, context),
	RESULT_COLUMN("o.response", JSONBOID, Kept, response),
};

#define HAS_ENDED "o.id = $1 AND o.state IN ('succeeded', 'cancelled') AND o.reduced_at IS NULL"

static Statement lock_ended = {
	.sql = "SELECT $result FROM $t.flex_outbox_requests AS o WHERE " HAS_ENDED " FOR NO KEY UPDATE SKIP LOCKED",
	.types = {INT8OID},
	.result = kept_columns,
	.result_count = lengthof(kept_columns),
};

static Statement find_ended = {
	.sql = "SELECT FROM $t.flex_outbox_requests AS o WHERE " HAS_ENDED,
	.types = {INT8OID},
};

static Statement reduce_request = {
	.sql = "UPDATE $t.flex_outbox_requests AS o SET arguments = $2, context = $3, response = $4, error_message = NULL, "
		   "reduced_at = clock_timestamp() WHERE " HAS_ENDED,
	.types = {INT8OID, JSONBOID, JSONBOID, JSONBOID},
};

/* Reduce a locked request, and write it.  "argument" is a Kept; this is a function for flex_attempt(). */
static void
write_reduced(void *argument)
{
	Kept *kept = argument;
	Datum values[] = {Int64GetDatum(kept->id), JsonbPGetDatum(flex_jsonb_sids(kept->arguments)), (Datum) 0, (Datum) 0};
	char nulls[] = {' ', ' ', 'n', 'n'};

	if (kept->context != NULL)
	{
		values[2] = JsonbPGetDatum(flex_jsonb_sids(kept->context));
		nulls[2] = ' ';
	}
	if (kept->response != NULL)
	{
		values[3] = JsonbPGetDatum(flex_jsonb_sids(kept->response));
		nulls[3] = ' ';
	}
	kept->is_reduced = flex_statement_execute(&reduce_request, values, nulls) > 0;
}

/* Warn that a request was not reduced.  error is NULL if its row is locked, or a trigger has suppressed the update. */
static void
warn(int64 id, const ErrorData *error)
{
	int sqlerrcode = error != NULL ? error->sqlerrcode : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;

	if (!flex_refusals_may_warn(sqlerrcode, "flex_outbox_requests"))
		return;
	ereport(WARNING, (errcode(sqlerrcode),
					  errmsg("request " INT64_FORMAT " of the Flex API outbox could not be reduced to identifiers", id),
					  error != NULL ? errdetail_internal("%s", error->message)
									: errdetail("Another session has locked its row, or a trigger prevents it."),
					  errhint("It is kept as it is, until it is deleted.")));
}

/*
 * Reduce a request, if flex_api.outbox_keep says so, and its state is succeeded or cancelled.  This waits
 * for another session's lock on the row for about a second at most.  If it fails, because of a lock or of
 * a user's trigger or constraint, it issues a warning and leaves the request as it is.
 */
void
flex_outbox_reduce(int64 id)
{
	Datum values[] = {Int64GetDatum(id)};
	Kept kept = {.id = id};
	const ErrorData *error;

	if (flex_settings.outbox_keep != OUTBOX_KEEP_IDENTIFIERS)
		return;
	for (int looks = 1; flex_statement_execute(&lock_ended, values, NULL) == 0; looks++)
	{
		CHECK_FOR_INTERRUPTS();
		if (flex_statement_execute(&find_ended, values, NULL) == 0)
			return;
		if (looks == MOST_LOOKS)
		{
			warn(id, NULL);
			return;
		}
		pg_usleep(LOOK_AGAIN_US);
	}
	flex_statement_read(&lock_ended, 0, &kept);
	error = flex_attempt(write_reduced, &kept);
	if (!kept.is_reduced)
		warn(id, error);
}
