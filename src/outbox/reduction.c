/*
 * reduction.c
 *		Reduces what is kept of a request that has ended to identifiers: flex_api.outbox_keep.
 *
 * A request without a callback is reduced by its settlement (delivery/settlement.c).  This is
 * for those whose end is another: that of a callback, or a decision.  What can be sent again
 * with its arguments, or confirmed, has failed or is uncertain, and stays as it is.
 *
 * The caller has connected to SPI, and stands between flex_outbox_enter() and
 * flex_outbox_leave().
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

#define MOST_LOOKS 20
#define LOOK_AGAIN_US 50000

/* What is to be reduced of a request. */
typedef struct Kept
{
	int64 id;
	Jsonb *arguments;
	Jsonb *context;  /* or NULL */
	Jsonb *response; /* or NULL */
	bool is_reduced; /* that has been done */
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

/* Write what is left of a request. */
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

/* Say why a request is kept as it is; error NULL: somebody has it locked, or a trigger keeps it. */
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
 * Reduce a request, if that is wanted, and if it has come to an end after which it is not sent again.
 * A row that somebody keeps locked is not waited for, for long, and what others hang on the table may refuse it.
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
