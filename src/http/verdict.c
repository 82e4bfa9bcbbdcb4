/*
 * verdict.c
 *		The outcome of a request, and the verdict whether it may be sent again.
 *
 * A request may be sent again if it was never sent, or if it is idempotent and the answer
 * was lost or has a 5xx status.  A request refused with 429 was not carried out and does
 * not count as an attempt; it is sent again when the rate limiter gives its account a turn.
 * If a POST was sent and not answered, or answered by a gateway in place of the service
 * (502, 504), its outcome is unknown.
 *
 * Problems that an operator has to mend are reported separately (Mend), because a direct
 * call fails with them, while the outbox waits until they are mended.
 *
 * All of that is decided here only: direct calls, lists and the outbox use the Outcome.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "answer/identifier.h"
#include "answer/problem.h"
#include "base/encoding.h"
#include "http/verdict.h"

#define STATUS_UNAUTHORIZED 401
#define STATUS_FORBIDDEN 403
#define STATUS_NOT_FOUND 404

/* The verdict on a complete answer whose status is in a range. */
typedef struct StatusRule
{
	int first;
	int last;
	Verdict repeatable; /* if the request is idempotent */
	Verdict once;       /* if it is not */
} StatusRule;

/* The first rule that matches is used.  If none does, the verdict is VERDICT_FAILED. */
static const StatusRule status_rules[] = {
	{200, 299, VERDICT_SUCCEEDED, VERDICT_SUCCEEDED},
	{429, 429, VERDICT_THROTTLED, VERDICT_THROTTLED}, /* too many requests: it was not carried out */
	{502, 502, VERDICT_AGAIN, VERDICT_UNKNOWN},       /* from a gateway, which knows no more than we do */
	{504, 504, VERDICT_AGAIN, VERDICT_UNKNOWN},
	{500, PG_INT32_MAX, VERDICT_AGAIN, VERDICT_FAILED},
};

static bool
is_success(int status)
{
	return status / 100 == 2;
}

/*
 * Return true if wrong credentials may be the reason of a refusal.  404 is among them,
 * because the service reports objects of another account as not found.
 */
static bool
may_be_due_to_credentials(int status)
{
	return status == STATUS_UNAUTHORIZED || status == STATUS_FORBIDDEN || status == STATUS_NOT_FOUND;
}

/*
 * Return true if the service says that the object of a request does not exist.  A 404 without
 * an error code is not the service's: a gateway sends it if it has no route, or the base URL is
 * wrong.
 */
static bool
says_absence(const Problem *answer)
{
	return answer->http_status == STATUS_NOT_FOUND && answer->code != NULL;
}

/* Return the verdict on a complete answer with a status. */
static Verdict
judge_status(const HttpRequest *request, const Problem *answer, bool was_maybe_done)
{
	int status = answer->http_status;

	/* A DELETE that is repeated after its answer was lost finds its object gone. */
	if (says_absence(answer) && was_maybe_done && strcmp(request->method, "DELETE") == 0)
		return VERDICT_DONE_BEFORE;
	for (size_t i = 0; i < lengthof(status_rules); i++)
	{
		const StatusRule *rule = &status_rules[i];

		if (status >= rule->first && status <= rule->last)
			return request->idempotent ? rule->repeatable : rule->once;
	}
	return VERDICT_FAILED;
}

/* Return the verdict on a request that was sent and whose answer was lost. */
Verdict
flex_verdict_if_lost(const HttpRequest *request)
{
	return request->idempotent ? VERDICT_AGAIN : VERDICT_UNKNOWN;
}

/* Return the kind of failure that goes with flex_verdict_if_lost(). */
FailureKind
flex_failure_if_lost(const HttpRequest *request)
{
	return request->idempotent ? FAILURE_ANSWER_LOST : FAILURE_OUTCOME_UNKNOWN;
}

/* Return the verdict on a transfer that has ended, or is still running and given up; answer is what the service said. */
static Verdict
judge(const HttpRequest *request, const TransferResult *result, const Problem *answer, bool was_maybe_done)
{
	switch (result->state)
	{
		case TRANSFER_ANSWERED:
			return judge_status(request, answer, was_maybe_done);
		case TRANSFER_TOO_LARGE:
			return is_success(result->status) && !request->idempotent ? VERDICT_UNKNOWN : VERDICT_FAILED;
		case TRANSFER_NO_DESCRIPTOR:
			return VERDICT_DEFERRED;
		case TRANSFER_NOT_TRUSTED:
			return VERDICT_FAILED;
		case TRANSFER_NEVER_SENT:
		case TRANSFER_NOT_RESOLVED:
		case TRANSFER_NO_PROXY:
		case TRANSFER_BROKEN:
		case TRANSFER_RUNNING:
			break;
	}
	return result->was_sent ? flex_verdict_if_lost(request) : VERDICT_AGAIN;
}

/* Return which problem of a transfer an operator has to mend, if any. */
static Mend
find_mend(const Endpoint *endpoint, const TransferResult *result)
{
	switch (result->state)
	{
		case TRANSFER_NOT_TRUSTED:
			return MEND_TRUST;
		case TRANSFER_NOT_RESOLVED:
			return MEND_NAME;
		case TRANSFER_NO_PROXY:
			return MEND_PROXY;
		case TRANSFER_NO_DESCRIPTOR:
			return MEND_DESCRIPTORS;
		case TRANSFER_ANSWERED:
			/* If the request has credentials of its own, those of the endpoint are not at fault. */
			return result->status == STATUS_UNAUTHORIZED && endpoint->authorization != NULL ? MEND_CREDENTIALS
																							: MEND_NOTHING;
		case TRANSFER_RUNNING:
		case TRANSFER_TOO_LARGE:
		case TRANSFER_NEVER_SENT:
		case TRANSFER_BROKEN:
			break;
	}
	return MEND_NOTHING;
}

/* Classify the failure of a transfer, for the error to raise. */
static FailureKind
failure_kind(const HttpRequest *request, const TransferResult *result)
{
	if (result->state == TRANSFER_ANSWERED)
		return FAILURE_NONE;
	if (result->state == TRANSFER_TOO_LARGE)
		return FAILURE_TOO_LARGE;
	return result->was_sent ? flex_failure_if_lost(request) : FAILURE_NEVER_SENT;
}

/* Return why no complete answer was received, in the database encoding. */
static const char *
failure_text(const TransferResult *result, const char *given_up)
{
	if (result->state == TRANSFER_TOO_LARGE)
		return psprintf("the Flex API's answer is larger than %zu kB", result->body_limit / 1024);
	if (result->state == TRANSFER_RUNNING)
		return given_up;
	return flex_text_for_message(result->failure, strlen(result->failure));
}

/*
 * Return the outcome of an attempt whose transfer has ended, or is given up for the reason
 * given_up.  was_maybe_done tells that an earlier attempt at the request may have been
 * carried out.  Strings other than the body are allocated in the current context.
 */
Outcome
flex_outcome_reach(const HttpRequest *request, const Endpoint *endpoint, const Transfer *transfer, bool was_maybe_done,
				   const char *given_up)
{
	TransferResult result = flex_transfer_result(transfer);
	const char *request_id = flex_transfer_request_id(transfer);
	bool is_answered = result.state == TRANSFER_ANSWERED;
	Outcome outcome = {
		.request = request,
		.to_mend = find_mend(endpoint, &result),
		.was_sent = result.was_sent,
		.may_be_done = result.was_sent && !(is_answered && result.status / 100 == 4),
		.failure_kind = failure_kind(request, &result),
		.answer.method = request->method,
		.answer.path = flex_request_shown_path(request),
		.answer.http_status = result.status,
		.answer.idempotent = request->idempotent,
		.answer.made_as = may_be_due_to_credentials(result.status) ? flex_endpoint_made_as(endpoint) : NULL,
		.body = result.body,
		.body_length = result.body_length,
		.elapsed_us = result.elapsed_us,
		.bytes_sent = result.bytes_sent,
		.bytes_received = result.bytes_received,
		.transfer = transfer,
	};

	Assert(result.state != TRANSFER_RUNNING || given_up != NULL);
	Assert(result.state != TRANSFER_BROKEN || result.was_sent);
	Assert(result.state != TRANSFER_NEVER_SENT || !result.was_sent);
	if (!is_answered)
		outcome.failure = failure_text(&result, given_up);
	if (request_id != NULL)
		outcome.answer.request_id = flex_text_for_message(request_id, strlen(request_id));
	if (is_answered && !is_success(result.status) && result.body_length > 0)
		flex_problem_read(&outcome.answer, result.body, result.body_length);
	outcome.verdict = judge(request, &result, &outcome.answer, was_maybe_done);
	if (outcome.verdict == VERDICT_AGAIN || outcome.verdict == VERDICT_THROTTLED)
		outcome.retry_after_ms = result.retry_after_ms;
	return outcome;
}

/* Return the outcome of a request that is withheld for a reason; strings are allocated in the current context. */
Outcome
flex_outcome_unsent(const HttpRequest *request, const char *reason)
{
	return (Outcome){
		.request = request,
		.verdict = VERDICT_AGAIN,
		.failure_kind = FAILURE_WITHHELD,
		.failure = psprintf("the Flex API lets nothing through: %s", reason),
		.answer.method = request->method,
		.answer.path = flex_request_shown_path(request),
		.answer.idempotent = request->idempotent,
	};
}

/* Return true if the request was carried out, by this attempt or an earlier one. */
bool
flex_outcome_is_good(const Outcome *outcome)
{
	return outcome->verdict == VERDICT_SUCCEEDED || outcome->verdict == VERDICT_DONE_BEFORE;
}

/* Return true if the request was refused because its object does not exist. */
bool
flex_outcome_is_absence(const Outcome *outcome)
{
	return outcome->failure_kind == FAILURE_NONE && outcome->verdict != VERDICT_DONE_BEFORE &&
		   says_absence(&outcome->answer);
}

/*
 * Return the SID of the object that a successful answer is about, palloc'd, or NULL.  It is
 * also looked for in the beginning of an answer that was too large.  The SID is not a field
 * of the outcome because this scans the body.
 */
char *
flex_outcome_find_sid(const Outcome *outcome)
{
	bool has_answer = outcome->failure_kind == FAILURE_NONE || outcome->failure_kind == FAILURE_TOO_LARGE;

	if (!has_answer || !is_success(outcome->answer.http_status) || outcome->body_length == 0)
		return NULL;
	return flex_identifier_find(outcome->body, outcome->body_length, outcome->request->key);
}

/* The same, but with interrupts held, so that a cancel does not replace the error about to be raised. */
static char *
find_sid_uninterrupted(const Outcome *outcome)
{
	char *sid;

	HOLD_INTERRUPTS();
	sid = flex_outcome_find_sid(outcome);
	RESUME_INTERRUPTS();
	return sid;
}

/* Call a function for each header of the answer.  Its transfer must not have been freed. */
void
flex_outcome_visit_headers(const Outcome *outcome, HeaderVisitor visit, void *state)
{
	Assert(outcome->transfer != NULL);
	flex_transfer_visit_headers(outcome->transfer, visit, state);
}

/* Raise the error of a direct call whose outcome is not good. */
void
flex_outcome_raise(const Outcome *outcome)
{
	Problem answer = outcome->answer;

	Assert(!flex_outcome_is_good(outcome));
	if (outcome->failure_kind == FAILURE_TOO_LARGE && is_success(answer.http_status))
	{
		answer.sid = find_sid_uninterrupted(outcome);
		flex_error_too_large(&answer, outcome->failure);
	}
	if (outcome->failure_kind == FAILURE_NONE || outcome->failure_kind == FAILURE_TOO_LARGE)
		flex_error_refused(&answer);
	flex_error_connection(outcome->failure_kind, answer.method, answer.path, outcome->failure);
}

/*
 * In PG_CATCH(), after an error in processing a good answer: raise that error again.  If
 * the request must not be sent again, add status, SID and request identifier of the answer,
 * so that the user can find what was created.  context is where the error is copied to.
 */
void
flex_outcome_raise_unread(const Outcome *outcome, MemoryContext context)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = flex_error_take();
	if (!outcome->request->idempotent)
	{
		Problem answer = outcome->answer;

		answer.sid = find_sid_uninterrupted(outcome);
		flex_error_add_answer(error, &answer);
	}
	flex_error_rethrow(error);
}
