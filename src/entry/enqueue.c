/*
 * enqueue.c
 *		SQL entry point that leaves requests in the outbox.
 *
 * A request is checked here as a direct call would check it, so that what is
 * wrong with it is an error in the statement that is at fault, and not a
 * failure hours later.  Nothing is sent, and no secret is kept.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "answer/jsonb_text.h"
#include "base/compat.h"
#include "base/effective.h"
#include "entry/callback_argument.h"
#include "entry/declaration.h"
#include "entry/enqueue.h"
#include "entry/wake.h"
#include "http/endpoint.h"
#include "outbox/access.h"
#include "outbox/insertion.h"
#include "outbox/quota.h"
#include "outbox/roles.h"
#include "outbox/rows.h"
#include "request/json_arguments.h"
#include "request/services.h"
#include "shared/registry.h"

#define FUNCTION entry_name
#define DEFAULT_MAX_ATTEMPTS 20
#define MOST_PRIORITY 1000
#define MOST_KEY_BYTES 1000
#define MOST_LOOKS 100 /* for a request that has the same key */

PG_FUNCTION_INFO_V1(flex_api_enqueue);

static const char *entry_name; /* of the SQL function that was called last, for errors */

/* The text of an argument, NULL for NULL. */
static char *
text_argument(FunctionCallInfo fcinfo, int position)
{
	return PG_ARGISNULL(position) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(position));
}

/* Raise 0A000 for what is answered with a secret. */
pg_noreturn static void
refuse_secret(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s cannot be enqueued", what),
					errdetail("Its answer is a secret, which the outbox would keep."), errhint("Call it directly.")));
}

/*
 * The signature of an operation that can be enqueued, until another one is looked up.
 * Raises 0A000 or 42883 for another, and 42501 unless the current role may call it.
 */
const Signature *
flex_enqueue_signature(const Operation *operation)
{
	const Signature *signature;

	Assert(operation != NULL);
	if (operation->secret)
		refuse_secret(operation->name);
	signature = flex_signature_look_up(operation, flex_outbox_schema(false));
	if (signature == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function %s does not exist", operation->name),
						errhint("ALTER EXTENSION flex_api UPDATE makes the functions of the library's version.")));
	flex_check_execute(signature->function);
	return signature;
}

/* The signature of an operation of this name, one that can be enqueued. */
static const Signature *
find_callable(const char *name)
{
	const Operation *operation = flex_operation_find(name);
	const Signature *signature;

	if (operation == NULL)
		flex_argument_refuse_operation(FUNCTION, name);
	signature = flex_enqueue_signature(operation);
	if (signature->returns_set)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("a list cannot be enqueued"),
						errhint("Call %s in a scheduled job.", name)));
	return signature;
}

/* Check the arguments of a request as a call would, and its context. */
void
flex_enqueue_check(const Signature *signature, Jsonb *arguments, Jsonb *context)
{
	const Operation *operation = signature->operation;
	NullableDatum *values = palloc(sizeof(NullableDatum) * Max(signature->count, 1));
	HttpRequest *request;

	flex_json_arguments_unpack(signature, arguments, values);
	for (int i = 0; i < signature->count; i++)
	{
		if (signature->parameters[i].rule->secret && !values[i].isnull)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("argument \"%s\" cannot be enqueued", signature->parameters[i].name),
							errdetail("It is a secret, and the outbox stores no secrets."),
							errhint("Call the operation directly.")));
	}
	request = flex_json_arguments_request(signature, values);
	if (operation->custom && flex_service_answers_secret(request->service, request->method, request->path))
		refuse_secret(psprintf("%s %s", request->method, request->path));
	flex_enqueue_check_text(FUNCTION, "context", context);
	flex_enqueue_check_text(FUNCTION, "arguments", arguments);
}

/* Raise 54000 for JSON whose text is too long to be printed with the rest of the row. */
void
flex_enqueue_check_text(const char *function, const char *argument, Jsonb *value)
{
	if (value != NULL && flex_jsonb_text_exceeds(value, FLEX_MOST_JSON_TEXT))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("argument \"%s\" of %s has too long a text", argument, function),
				 errdetail("It may have %d bytes at the most, numbers with all their digits.", FLEX_MOST_JSON_TEXT),
				 errhint("Write very large numbers as strings.")));
}

/* True when a sender has looked for requests lately. */
static bool
is_attended(void)
{
	OutboxAccess access;
	bool attended;

	SPI_connect();
	flex_outbox_enter(&access);
	attended = flex_outbox_was_drained();
	flex_outbox_leave(&access);
	SPI_finish();
	return attended;
}

/* Warn, once per session, when nothing seems to send what is enqueued. */
static void
warn_if_unattended(void)
{
	static bool asked = false;

	if (asked || flex_registry_exists())
		return;
	asked = true;
	if (!is_attended())
		ereport(WARNING, (errcode(ERRCODE_WARNING), errmsg("no process sends the requests of the Flex API outbox"),
						  errhint("Add flex_api to shared_preload_libraries, or schedule CALL flex_outbox_drain().")));
}

/* Put requests of one call in; ids[] gets 0 where a key is there already. */
void
flex_enqueue_insert_new(const NewRequest *requests, int count, int64 *ids)
{
	OutboxAccess access;

	flex_outbox_enter_to_insert(&access);
	flex_outbox_insert(requests, count, ids);
	flex_outbox_leave(&access);
	flex_quota_note(requests->role_id, ids, count);
	if (!flex_quota_admits(requests->role_id, 0))
		flex_quota_refuse(requests->role_id, requests->enqueued_by, 0);
}

/* Find the request that has the key; 0 when it is not there any more. */
static int64
find_by_key(const NewRequest *request)
{
	OutboxAccess access;
	int64 id;

	SPI_connect();
	flex_outbox_enter(&access);
	id = flex_outbox_find_key(request->enqueued_role, request->role_id, request->unique_key);
	flex_outbox_leave(&access);
	SPI_finish();
	return id;
}

/* The number that the outbox's rows have of a role, 0 in tables of the first version. */
static int
number_of_role(Oid role, const char *name)
{
	OutboxAccess access;
	int id = flex_outbox_known_role(role);

	if (id != 0 || flex_outbox_is_of_first_version())
		return id;
	SPI_connect();
	flex_outbox_enter(&access);
	id = flex_outbox_make_role(role, name);
	flex_outbox_leave(&access);
	SPI_finish();
	return id;
}

/* Raise 55000: tables of the first version have no place for a server's name. */
pg_noreturn static void
refuse_server(const char *server)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("the outbox's tables are of a version without foreign servers"),
					errdetail("flex_api.server is \"%s\".", server), errhint("Use ALTER EXTENSION flex_api UPDATE.")));
}

/* Put the request in, or find the one that has its unique key. */
int64
flex_enqueue_insert(const NewRequest *request)
{
	int64 id;
	int looks = 0;

	warn_if_unattended();
	if (!flex_quota_admits(request->role_id, 1))
	{
		/* What is there already takes no place. */
		id = request->unique_key != NULL ? find_by_key(request) : 0;
		if (id == 0)
			flex_quota_refuse(request->role_id, request->enqueued_by, 1);
		return id;
	}
	/* The other one can be deleted or rolled back between the two looks. */
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (looks++ == MOST_LOOKS)
			flex_outbox_refuse_row();
		flex_enqueue_insert_new(request, 1, &id);
		if (id == 0)
			id = find_by_key(request);
		if (id == 0 && IsolationUsesXactSnapshot())
			ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
							errmsg("could not serialize access due to concurrent update"),
							errdetail("Another transaction has enqueued a request with this unique key."),
							errhint("The transaction might succeed if retried.")));
	} while (id == 0);
	return id;
}

/* Raise 22023 for a key that is too long for an index. */
void
flex_enqueue_check_key(const char *name, const char *key)
{
	if (key != NULL && strlen(key) > MOST_KEY_BYTES)
		flex_argument_refuse(FUNCTION, name, key, false, psprintf("a text of %d bytes at the most", MOST_KEY_BYTES));
}

/* A key, which is not too long for an index; NULL for NULL, and where the function is an older version's, without it. */
static char *
key_argument(FunctionCallInfo fcinfo, int position, const char *name)
{
	char *key = position < PG_NARGS() ? text_argument(fcinfo, position) : NULL;

	flex_enqueue_check_key(name, key);
	return key;
}

/* max_attempts, at least 1. */
static int
max_attempts_argument(FunctionCallInfo fcinfo)
{
	int max_attempts = DEFAULT_MAX_ATTEMPTS;

	if (!PG_ARGISNULL(ARGUMENT_MAX_ATTEMPTS))
		max_attempts = PG_GETARG_INT32(ARGUMENT_MAX_ATTEMPTS);
	if (max_attempts < 1)
		flex_argument_refuse(FUNCTION, "max_attempts", psprintf("%d", max_attempts), false, "a number from 1 on");
	return max_attempts;
}

/* priority, of a range that keeps the lanes few. */
static int
priority_argument(FunctionCallInfo fcinfo)
{
	int priority = PG_ARGISNULL(ARGUMENT_PRIORITY) ? 0 : PG_GETARG_INT32(ARGUMENT_PRIORITY);

	if (priority < -MOST_PRIORITY || priority > MOST_PRIORITY)
		flex_argument_refuse(FUNCTION, "priority", psprintf("%d", priority), false,
							 psprintf("a number from %d to %d", -MOST_PRIORITY, MOST_PRIORITY));
	return priority;
}

/* run_at: a time that comes. */
static TimestampTz
run_at_argument(FunctionCallInfo fcinfo)
{
	TimestampTz run_at = PG_ARGISNULL(ARGUMENT_RUN_AT) ? GetCurrentTimestamp() : PG_GETARG_TIMESTAMPTZ(ARGUMENT_RUN_AT);

	if (TIMESTAMP_NOT_FINITE(run_at))
		flex_argument_refuse_with_hint(FUNCTION, "run_at", timestamptz_to_str(run_at), false, "a time that comes",
									   "Leave it NULL to send at once.");
	return run_at;
}

/*
 * expires_at, after run_at if that is given; 0 for never.  One that is past
 * is good: what the clock says when the transaction commits is nobody's mistake.
 */
static TimestampTz
expires_at_argument(FunctionCallInfo fcinfo)
{
	TimestampTz expires_at;

	if (ARGUMENT_EXPIRES_AT >= PG_NARGS() || PG_ARGISNULL(ARGUMENT_EXPIRES_AT) ||
		PG_GETARG_TIMESTAMPTZ(ARGUMENT_EXPIRES_AT) == DT_NOEND)
		return 0;
	expires_at = PG_GETARG_TIMESTAMPTZ(ARGUMENT_EXPIRES_AT);
	if (TIMESTAMP_NOT_FINITE(expires_at) ||
		(!PG_ARGISNULL(ARGUMENT_RUN_AT) && expires_at <= PG_GETARG_TIMESTAMPTZ(ARGUMENT_RUN_AT)))
		flex_argument_refuse_with_hint(FUNCTION, "expires_at", timestamptz_to_str(expires_at), false,
									   "a time after run_at", "Leave it NULL for a request that never expires.");
	/* The time that is 0 itself, of the year 2000, has passed as has the one before it. */
	return expires_at != 0 ? expires_at : -1;
}

/* Note where the request is to be sent: to a server, or to an account, which a server has of its own. */
static void
set_destination(NewRequest *request)
{
	const char *account = flex_effective_string(&flex_settings.account_sid);

	request->server = flex_endpoint_server_to_keep(request->enqueued_role);
	if (flex_setting_is_set(account) && (request->server == NULL || request->server[0] == '\0'))
		request->account_sid = pstrdup(account);
}

/* Begin a call: the signature of the operation that it names. */
const Signature *
flex_enqueue_begin(FunctionCallInfo fcinfo, const char *function, NewRequest *request)
{
	entry_name = function;
	PreventCommandIfReadOnly(psprintf("%s()", function));
	flex_effective_check_displaced();
	if (PG_ARGISNULL(ARGUMENT_OPERATION))
		flex_argument_refuse_null(FUNCTION, "operation");
	request->enqueued_role = GetUserId();
	request->operation = text_argument(fcinfo, ARGUMENT_OPERATION);
	return find_callable(request->operation);
}

/* What the requests of a call have in common, beside the operation: its other arguments, and the session's. */
void
flex_enqueue_read_common(FunctionCallInfo fcinfo, NewRequest *request)
{
	request->on_success = flex_callback_argument(FUNCTION, "on_success", text_argument(fcinfo, ARGUMENT_ON_SUCCESS),
												 &request->on_success_owner);
	request->on_failure = flex_callback_argument(FUNCTION, "on_failure", text_argument(fcinfo, ARGUMENT_ON_FAILURE),
												 &request->on_failure_owner);
	request->run_at = run_at_argument(fcinfo);
	request->expires_at = expires_at_argument(fcinfo);
	request->priority = priority_argument(fcinfo);
	request->max_attempts = max_attempts_argument(fcinfo);
	request->enqueued_by = GetUserNameFromId(request->enqueued_role, false);
	set_destination(request);
	flex_wake_at_commit();
	warn_if_unattended();
	/* Before any number of it is looked up: while we wait, another outbox may take the place of the one that we know. */
	(void) flex_outbox_lock_requests();
	request->role_id = number_of_role(request->enqueued_role, request->enqueued_by);
	if (request->role_id == 0 && request->server != NULL && request->server[0] != '\0')
		refuse_server(request->server);
}

/* flex_enqueue(); see the file's head. */
PGDLLEXPORT Datum
flex_api_enqueue(PG_FUNCTION_ARGS)
{
	static const EntryPoint entry = {
		.result = INT8OID,
		.least = 9,
		.count = 11,
		.types = {TEXTOID, JSONBOID, JSONBOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID, INT4OID, TEXTOID, TEXTOID,
				  TIMESTAMPTZOID},
	};
	NewRequest request = {0};
	const Signature *signature;

	flex_declaration_check(fcinfo, &entry);
	signature = flex_enqueue_begin(fcinfo, "flex_enqueue", &request);
	if (PG_ARGISNULL(ARGUMENT_ARGUMENTS))
		flex_argument_refuse_null(FUNCTION, "arguments");
	request.arguments = PG_GETARG_JSONB_P(ARGUMENT_ARGUMENTS);
	request.context = PG_ARGISNULL(ARGUMENT_CONTEXT) ? NULL : PG_GETARG_JSONB_P(ARGUMENT_CONTEXT);
	flex_enqueue_check(signature, request.arguments, request.context);
	request.unique_key = key_argument(fcinfo, ARGUMENT_UNIQUE_KEY, "unique_key");
	request.ordering_key = key_argument(fcinfo, ARGUMENT_ORDERING_KEY, "ordering_key");
	flex_enqueue_read_common(fcinfo, &request);
	PG_RETURN_INT64(flex_enqueue_insert(&request));
}
