/*
 * verdict.c
 *		What the end of a transfer means: may the request be sent again?
 *
 * It may when it never left, when the service answered 429 (which means that it
 * did not carry it out), or when its method is idempotent and the answer was
 * lost or of the 5xx kind.  A POST that left and was not answered, or that a
 * gateway answered in the service's place, has an outcome that nobody knows.
 */
#include "postgres.h"

#include "common/pg_prng.h"

#include "answer/identifier.h"
#include "answer/problem.h"
#include "base/effective.h"
#include "base/encoding.h"
#include "http/verdict.h"

#define STATUS_TOO_MANY 429
#define STATUS_BAD_GATEWAY 502
#define STATUS_GATEWAY_TIMEOUT 504

/* The verdict on a whole answer. */
static Verdict
judge_status(const HttpRequest *request, int status)
{
	if (status / 100 == 2)
		return VERDICT_SUCCEEDED;
	if (status == STATUS_TOO_MANY)
		return VERDICT_AGAIN;
	if (status >= 500 && request->idempotent)
		return VERDICT_AGAIN;
	if (status == STATUS_BAD_GATEWAY || status == STATUS_GATEWAY_TIMEOUT)
		return VERDICT_UNKNOWN;
	return VERDICT_FAILED;
}

/* Judge a transfer that is over. */
Verdict
flex_verdict_judge(const HttpRequest *request, const Transfer *transfer)
{
	switch (flex_transfer_state(transfer))
	{
		case TRANSFER_ANSWERED:
			return judge_status(request, flex_transfer_status(transfer));
		case TRANSFER_NO_DESCRIPTOR:
			return VERDICT_DEFERRED;
		case TRANSFER_NEVER_SENT:
			return VERDICT_AGAIN;
		case TRANSFER_BROKEN:
		case TRANSFER_RUNNING:
			if (request->idempotent || !flex_transfer_was_sent(transfer))
				return VERDICT_AGAIN;
			return VERDICT_UNKNOWN;
		case TRANSFER_TOO_LARGE:
			if (flex_transfer_status(transfer) / 100 == 2 && !request->idempotent)
				return VERDICT_UNKNOWN;
			break;
		case TRANSFER_NOT_TRUSTED:
			break;
	}
	return VERDICT_FAILED;
}

/* The SID that a good answer gives, all of it or what was taken of one too large; NULL: none. */
static char *
identifier_in(const HttpRequest *request, const Transfer *transfer)
{
	TransferState state = flex_transfer_state(transfer);
	size_t length;
	const char *body = flex_transfer_body(transfer, &length);

	if (length == 0 || (state != TRANSFER_ANSWERED && state != TRANSFER_TOO_LARGE) ||
		flex_transfer_status(transfer) / 100 != 2)
		return NULL;
	return flex_identifier_find(body, length, request->key);
}

/*
 * Tell what the service said: in refusing, or of what a good answer is about.
 * Texts are allocated in the current context, in the database's encoding.
 */
void
flex_verdict_explain(const HttpRequest *request, const Transfer *transfer, Problem *problem)
{
	const char *request_id = flex_transfer_header(transfer, "Twilio-Request-Id");
	size_t length;
	const char *body = flex_transfer_body(transfer, &length);

	*problem = (Problem){
		.method = request->method,
		.path = request->path,
		.http_status = flex_transfer_status(transfer),
		.sid = identifier_in(request, transfer),
		.idempotent = request->idempotent,
	};
	if (request_id != NULL)
		problem->request_id = flex_text_for_message(request_id, strlen(request_id));
	if (flex_transfer_state(transfer) == TRANSFER_ANSWERED && length > 0 && problem->http_status / 100 != 2)
		flex_problem_read(problem, body, length);
}

/*
 * Raise again, from a PG_CATCH(), what went wrong in reading a good answer: for
 * what must not be sent again, with all that is needed to go on.  Texts are
 * allocated in the context.
 */
void
flex_verdict_raise_unread(const HttpRequest *request, const Transfer *transfer, MemoryContext context)
{
	ErrorData *error;
	Problem answer;

	MemoryContextSwitchTo(context);
	error = flex_error_take();
	if (!request->idempotent)
	{
		flex_verdict_explain(request, transfer, &answer);
		flex_error_add_answer(error, &answer);
	}
	flex_error_rethrow(error);
}

/* Raise what a transfer that did not succeed means for a direct call. */
void
flex_verdict_raise(const HttpRequest *request, const Transfer *transfer)
{
	TransferState state = flex_transfer_state(transfer);
	FailureKind kind = FAILURE_NEVER_SENT;
	const char *failure;
	Problem problem;

	flex_verdict_explain(request, transfer, &problem);
	if (state == TRANSFER_TOO_LARGE && flex_transfer_status(transfer) / 100 == 2)
		flex_error_too_large(&problem, flex_effective_integer(&flex_settings.max_response_size));
	if (state == TRANSFER_ANSWERED || state == TRANSFER_TOO_LARGE)
		flex_error_refused(&problem);
	if (flex_transfer_was_sent(transfer))
		kind = request->idempotent ? FAILURE_ANSWER_LOST : FAILURE_OUTCOME_UNKNOWN;
	failure = flex_transfer_failure(transfer);
	flex_error_connection(kind, request->method, request->path, flex_text_for_message(failure, strlen(failure)));
}

/* A random share of first * 2^tries milliseconds, or of most where that is less. */
int64
flex_backoff_ms(int tries, int64 first_ms, int64 most_ms)
{
	int64 limit = Min(first_ms << Min(tries, 20), most_ms);

	return (int64) (pg_prng_double(&pg_global_prng_state) * limit);
}
