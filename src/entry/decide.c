/*
 * decide.c
 *		SQL entry points that retry, cancel and confirm requests in the outbox.
 *
 * A role decides on its own requests, a superuser on all.  A confirmation says of a request
 * with an uncertain end that the service has carried it out.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "base/compat.h"
#include "entry/declaration.h"
#include "entry/enqueue.h"
#include "entry/wake.h"
#include "outbox/access.h"
#include "outbox/rows.h"

PG_FUNCTION_INFO_V1(flex_api_outbox_retry);
PG_FUNCTION_INFO_V1(flex_api_outbox_cancel);
PG_FUNCTION_INFO_V1(flex_api_outbox_confirm);

/*
 * Raise an error unless the current role may enqueue an operation now: 55000 if there is no
 * such operation, and the errors of flex_enqueue_signature().
 */
static void
check_operation(int64 id, const char *name)
{
	const Operation *operation = flex_operation_find(name);

	if (operation == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("request " INT64_FORMAT " cannot be retried", id),
						errdetail("The Flex API has no operation \"%s\".", name)));
	(void) flex_enqueue_signature(operation);
}

/* How a decision is refused in the wrong state of a request. */
typedef struct Decision
{
	const char *refusal; /* format of the message; its argument is the request's id */
	const char *hint;
} Decision;

static const Decision retry = {"request " INT64_FORMAT " cannot be retried",
							   "What is pending, failed, uncertain or cancelled can be retried."};
static const Decision cancel = {"request " INT64_FORMAT " cannot be cancelled",
								"What is pending, failed or uncertain can be cancelled."};
static const Decision confirm = {"request " INT64_FORMAT " cannot be confirmed", "What is uncertain can be confirmed."};

/*
 * Carry out a decision on a request.  response is for confirm only.  Raises P0002 if there is
 * no such request or it is another role's, 55000 if its state does not allow the decision.
 */
static void
decide_on(int64 id, const Decision *decision, Jsonb *response)
{
	Oid role = GetUserId();
	const char *role_name = GetUserNameFromId(role, false);
	Oid owner = superuser() ? InvalidOid : role;
	OutboxAccess access;
	const char *refusal;
	char *to_send = NULL;

	SPI_connect();
	flex_outbox_enter(&access);
	if (decision == &confirm)
		refusal = flex_outbox_confirm(id, owner, role_name, response);
	else
		refusal = flex_outbox_decide(id, owner, role_name, decision == &retry, &to_send);
	flex_outbox_leave(&access);
	if (refusal != NULL && refusal[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND), errmsg("request " INT64_FORMAT " is not in the outbox", id),
						errdetail("There is no request with this id, or another role has enqueued it.")));
	if (refusal != NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg(decision->refusal, id),
						errdetail_internal("%s", refusal), errhint("%s", decision->hint)));
	/* The privilege may have been revoked since the request was enqueued.  The error rolls the retry back. */
	if (to_send != NULL)
		check_operation(id, to_send);
	SPI_finish();
	/* Also after a cancel: the request may have held back the next one of its ordering key. */
	flex_wake_at_commit();
}

/* Declaration of flex_outbox_retry() and flex_outbox_cancel(): the argument is the request's id. */
static const EntryPoint entry = {.result = VOIDOID, .count = 1, .types = {INT8OID}};

/* flex_outbox_retry() */
PGDLLEXPORT Datum
flex_api_outbox_retry(PG_FUNCTION_ARGS)
{
	flex_declaration_check(fcinfo, &entry);
	decide_on(PG_GETARG_INT64(0), &retry, NULL);
	PG_RETURN_VOID();
}

/* flex_outbox_cancel() */
PGDLLEXPORT Datum
flex_api_outbox_cancel(PG_FUNCTION_ARGS)
{
	flex_declaration_check(fcinfo, &entry);
	decide_on(PG_GETARG_INT64(0), &cancel, NULL);
	PG_RETURN_VOID();
}

/* flex_outbox_confirm() */
PGDLLEXPORT Datum
flex_api_outbox_confirm(PG_FUNCTION_ARGS)
{
	static const EntryPoint with_response = {.result = VOIDOID, .count = 2, .types = {INT8OID, JSONBOID}};
	Jsonb *response;

	flex_declaration_check(fcinfo, &with_response);
	if (PG_ARGISNULL(0))
		flex_argument_refuse_null("flex_outbox_confirm", "id");
	response = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	flex_enqueue_check_text("flex_outbox_confirm", "response", response);
	decide_on(PG_GETARG_INT64(0), &confirm, response);
	PG_RETURN_VOID();
}
