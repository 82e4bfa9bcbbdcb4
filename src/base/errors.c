/*
 * errors.c
 *		From what the service or the network did to SQLSTATE and message.
 *
 * A refusal has the SQLSTATE "TW" and the HTTP status, so that PL/pgSQL can
 * catch each by name (WHEN SQLSTATE 'TW404').  Trouble on the way is class 08:
 * 08001 when the request never left, 08006 when only its answer was lost, 08007
 * when nobody can tell whether it was carried out, 08P01 when the answer makes
 * no sense.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/errors.h"

/*
 * SQLSTATE of an HTTP status: TW404 for 404.  A status outside 100 to 999 is
 * not HTTP, and gives 08P01.
 */
static int
sqlstate_of(int http_status)
{
	if (http_status < 100 || http_status > 999)
		return ERRCODE_PROTOCOL_VIOLATION;
	return MAKE_SQLSTATE('T', 'W', '0' + http_status / 100, '0' + http_status / 10 % 10, '0' + http_status % 10);
}

/* Raise what the service refused.  Never returns. */
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

/* The SQLSTATE of a failure that brought no whole answer. */
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

/* Raise that no whole answer came; reason is libcurl's or our own text. */
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
					 errhint("Check at the service whether the request was carried out before you send it again.")));
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
 * Which answer it was, a sentence: for what must not be sent again, also what is
 * needed to go on from there.
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

/* What to do after an answer to what must not be sent again. */
static const char *
hint_after_answer(const Problem *answer)
{
	return answer->sid != NULL ? "Do not send it again: fetch by its SID what the service has made or changed."
							   : "Check at the service whether the request was carried out before you send it again.";
}

/* Raise that the answer is larger than flex_api.max_response_size: the message says how large that is. */
void
flex_error_too_large(const Problem *answer, const char *message)
{
	ereport(ERROR, (errcode(flex_error_sqlstate(FAILURE_TOO_LARGE)), errmsg_internal("%s", message),
					errdetail_internal("%s", describe_answer(answer)),
					answer->idempotent ? errhint("Raise flex_api.max_response_size, or ask for smaller pages.")
									   : errhint("%s", hint_after_answer(answer))));
}

/*
 * Have an error in reading a good answer to what must not be sent again tell which
 * answer that was, with texts in the current context.
 */
void
flex_error_add_answer(ErrorData *error, const Problem *answer)
{
	error->detail =
		psprintf("%s%s%s", error->detail ? error->detail : "", error->detail ? " " : "", describe_answer(answer));
	error->hint = pstrdup(hint_after_answer(answer));
}

/*
 * Raise that an answer cannot be understood; the format gives the DETAIL, a
 * sentence.
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

/* Copy the strings that the server takes for constants into a context. */
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
 * Take the error that was caught, as a copy in the current context.  After
 * flex_error_rethrow(), CopyErrorData() of some minor releases leaves in it what
 * only lasts as long as the error.
 */
ErrorData *
flex_error_take(void)
{
	ErrorData *error = CopyErrorData();

	copy_constants(error, CurrentMemoryContext);
	FlushErrorState();
	return error;
}

/* True when an error is a cancel that was meant for us, and not a callback's own. */
bool
flex_error_is_cancel(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->funcname != NULL &&
		   strcmp(error->funcname, "ProcessInterrupts") == 0;
}

/*
 * Raise an error again of which a copy was made.  ReThrowError() alone leaves some
 * strings where the copy has them, which may be gone before the error is told.
 */
void
flex_error_rethrow(ErrorData *error)
{
	copy_constants(error, ErrorContext);
	ReThrowError(error);
}

/*
 * Raise an error that another process has sent, of level ERROR.  As above, some strings
 * are not copied by the server's own function.
 */
void
flex_error_throw(ErrorData *error)
{
	Assert(error->elevel == ERROR);
	copy_constants(error, ErrorContext);
	ThrowErrorData(error);
	pg_unreachable();
}
