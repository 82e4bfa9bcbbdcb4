/*
 * errors.c
 *		Raises errors for failed requests and for answers that are errors.
 *
 * An error answer of the service has the SQLSTATE "TW" followed by the HTTP status, so that
 * PL/pgSQL can catch each of them (WHEN SQLSTATE 'TW404').  Failures of the connection are in
 * class 08: 08001 if the request was not sent, 08006 if its answer was lost but it can be
 * sent again, 08007 if it is unknown whether it was carried out, 08P01 if the answer is
 * invalid.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/errors.h"

/*
 * Return the SQLSTATE for an HTTP status: TW404 for 404.  A status outside 100 to 999 does not
 * exist in HTTP, and gives 08P01.
 */
static int
sqlstate_of(int http_status)
{
	if (http_status < 100 || http_status > 999)
		return ERRCODE_PROTOCOL_VIOLATION;
	return MAKE_SQLSTATE('T', 'W', '0' + http_status / 100, '0' + http_status / 10 % 10, '0' + http_status % 10);
}

/* Raise the error for an error answer of the service. */
void
flex_error_refused(const Problem *problem)
{
	ereport(ERROR,
			(errcode(sqlstate_of(problem->http_status)),
			 problem->message ? errmsg("%s", problem->message)
							  : errmsg("the Flex API answered with HTTP status %d", problem->http_status),
			 errdetail("%s %s answered HTTP status %d%s%s%s%s.%s%s%s%s%s", problem->method, problem->path,
					   problem->http_status, problem->code ? ", error code " : "", problem->code ? problem->code : "",
					   problem->request_id ? ", request " : "", problem->request_id ? problem->request_id : "",
					   problem->explanation ? " " : "", problem->explanation ? problem->explanation : "",
					   problem->made_as ? " It was made as " : "", problem->made_as ? problem->made_as : "",
					   problem->made_as ? "." : ""),
			 problem->more_info ? errhint("%s", problem->more_info) : 0));
}

/* Return the SQLSTATE for a request without a complete answer. */
int
flex_error_sqlstate(FailureKind kind)
{
	static const int sqlstates[] = {
		[FAILURE_NONE] = ERRCODE_SUCCESSFUL_COMPLETION,
		[FAILURE_NEVER_SENT] = ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
		[FAILURE_ANSWER_LOST] = ERRCODE_CONNECTION_FAILURE,
		[FAILURE_OUTCOME_UNKNOWN] = ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN,
		[FAILURE_WITHHELD] = ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
		[FAILURE_TOO_LARGE] = ERRCODE_PROTOCOL_VIOLATION,
	};

	return sqlstates[kind];
}

/* Raise the error for a request without a complete answer.  reason is a text of libcurl or our own. */
void
flex_error_connection(FailureKind kind, const char *method, const char *path, const char *reason)
{
	switch (kind)
	{
		case FAILURE_NEVER_SENT:
			ereport(ERROR, (errcode(flex_error_sqlstate(kind)), errmsg("could not connect to the Flex API: %s", reason),
							errdetail("%s %s was not sent.", method, path),
							errhint("Its address is that of flex_api.base_url, or of flex_api.edge and "
									"flex_api.region. Check it, and flex_api.proxy.")));
		case FAILURE_ANSWER_LOST:
			ereport(ERROR,
					(errcode(flex_error_sqlstate(kind)), errmsg("lost the connection to the Flex API: %s", reason),
					 errdetail("%s %s was sent, but no complete answer came.", method, path),
					 errhint("It is safe to send it again.")));
		case FAILURE_OUTCOME_UNKNOWN:
			ereport(ERROR,
					(errcode(flex_error_sqlstate(kind)), errmsg("lost the connection to the Flex API: %s", reason),
					 errdetail(
						 "%s %s was sent, but no complete answer came: the service may or may not have carried it out.",
						 method, path),
					 errhint("Check whether the service carried it out before sending the request again.")));
		case FAILURE_WITHHELD:
			ereport(ERROR, (errcode(flex_error_sqlstate(kind)), errmsg("request was not sent: %s", reason),
							errdetail("%s %s was not sent.", method, path),
							errhint("Send it again when the service accepts requests.")));
		case FAILURE_NONE:
		case FAILURE_TOO_LARGE:
			break;
	}
	pg_unreachable();
}

/*
 * Describe an answer, as a sentence.  If the request must not be sent again, this includes
 * whether it has been carried out, and the SID if there is one.
 */
static char *
describe_answer(const Problem *answer)
{
	const char *outcome = ": the service has carried it out";

	if (answer->idempotent)
		outcome = "";
	else if (answer->sid == NULL)
		outcome = ": the service may have carried it out";
	return psprintf("%s %s answered HTTP status %d%s%s%s%s%s.", answer->method, answer->path, answer->http_status,
					answer->request_id ? ", request " : "", answer->request_id ? answer->request_id : "",
					answer->sid ? ", SID " : "", answer->sid ? answer->sid : "", outcome);
}

/* Return the hint after an unreadable answer to a request that must not be sent again. */
static const char *
hint_after_answer(const Problem *answer)
{
	return answer->sid != NULL ? "Do not send it again: fetch by its SID what the service has made or changed."
							   : "Check whether the service carried it out before sending the request again.";
}

/* Raise the error for an answer that exceeds flex_api.max_response_size.  message contains the limit. */
void
flex_error_too_large(const Problem *answer, const char *message)
{
	ereport(ERROR, (errcode(flex_error_sqlstate(FAILURE_TOO_LARGE)), errmsg_internal("%s", message),
					errdetail_internal("%s", describe_answer(answer)),
					answer->idempotent ? errhint("Raise flex_api.max_response_size, or ask for smaller pages.")
									   : errhint("%s", hint_after_answer(answer))));
}

/*
 * Add a description of the answer to an error that was raised while a successful answer was
 * read, to a request that must not be sent again.  The texts are in the current context.
 */
void
flex_error_add_answer(ErrorData *error, const Problem *answer)
{
	error->detail =
		psprintf("%s%s%s", error->detail ? error->detail : "", error->detail ? " " : "", describe_answer(answer));
	error->hint = pstrdup(hint_after_answer(answer));
}

/*
 * Raise 08P01 for an invalid answer.  The format gives the DETAIL, a sentence.  Callers bound
 * the lengths of its parts, so that it fits into the buffer here.
 */
void
flex_error_answer(const char *fmt, ...)
{
	va_list args;
	char detail[1024];

	va_start(args, fmt);
	pvsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION), errmsg("could not understand the Flex API's answer"),
					errdetail_internal("%s", detail)));
}

/* Copy into a memory context those strings of an error that elog.c assumes to be constants. */
static void
copy_constants(ErrorData *error, MemoryContext context)
{
	const char **const strings[] = {&error->filename, &error->funcname, &error->domain, &error->context_domain,
									&error->message_id};

	for (size_t i = 0; i < lengthof(strings); i++)
	{
		if (*strings[i] != NULL)
			*strings[i] = MemoryContextStrdup(context, *strings[i]);
	}
}

/*
 * Return a copy of the error that was caught, in the current context, and reset the error
 * state.  CopyErrorData() of some minor releases does not copy the "constants", which after
 * flex_error_rethrow() live only as long as the error.
 */
ErrorData *
flex_error_take(void)
{
	ErrorData *error = CopyErrorData();

	copy_constants(error, CurrentMemoryContext);
	FlushErrorState();
	return error;
}

/* Return true if an error is a cancel of the statement, and not one that a callback has raised with that SQLSTATE. */
bool
flex_error_is_cancel(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->funcname != NULL &&
		   strcmp(error->funcname, "ProcessInterrupts") == 0;
}

/*
 * Raise a copy of an error again.  ReThrowError() does not copy the "constants", so without
 * this they might be freed together with the copy before the error is reported.
 */
void
flex_error_rethrow(ErrorData *error)
{
	copy_constants(error, ErrorContext);
	ReThrowError(error);
}

/*
 * Raise an error that another process has sent, whose level must be ERROR.  As above,
 * ThrowErrorData() does not copy all strings.
 */
void
flex_error_throw(ErrorData *error)
{
	Assert(error->elevel == ERROR);
	copy_constants(error, ErrorContext);
	ThrowErrorData(error);
	pg_unreachable();
}
