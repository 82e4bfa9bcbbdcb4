/*
 * verdict.c
 *		What the end of a request means: may it be sent again?
 *
 * It may when it never left, or when its method is idempotent and the answer was
 * lost or of the 5xx kind.  One that the service answered with 429 was not carried
 * out, and was no attempt: it is sent when its account's turn has come.  A POST that
 * left and was not answered, or that a gateway answered in the service's place, has an
 * outcome that nobody knows.  What an operator has to mend is told apart: a call fails
 * with it, and the outbox waits for it.
 *
 * All of that is decided here, and nowhere else: direct calls, lists and the
 * outbox read the Outcome.
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

/* What a whole answer's status means: for a request that may be repeated, and for one that must not be. */
typedef struct StatusRule
{
	int first;
	int last;
	Verdict repeatable;
	Verdict once;
} StatusRule;

/* The first that fits counts; where none does, the request has failed. */
static const StatusRule status_rules[] = {
	{200, 299, VERDICT_SUCCEEDED, VERDICT_SUCCEEDED},
	{429, 429, VERDICT_THROTTLED, VERDICT_THROTTLED}, /* too many requests: it was not carried out */
	{502, 502, VERDICT_AGAIN, VERDICT_UNKNOWN},       /* a gateway says so, which knows no more than we do */
	{504, 504, VERDICT_AGAIN, VERDICT_UNKNOWN},
	{500, PG_INT32_MAX, VERDICT_AGAIN, VERDICT_FAILED},
};

static bool
is_success(int status)
{
	return status / 100 == 2;
}

/* True for a refusal that other credentials might not get: what another account has is not found. */
static bool
may_be_due_to_credentials(int status)
{
	return status == STATUS_UNAUTHORIZED || status == STATUS_FORBIDDEN || status == STATUS_NOT_FOUND;
}

/* The verdict on a whole answer. */
static Verdict
judge_status(const HttpRequest *request, int status, bool was_maybe_done)
{
	/* A repeated DELETE finds gone what it has deleted. */
	if (status == STATUS_NOT_FOUND && was_maybe_done && strcmp(request->method, "DELETE") == 0)
		return VERDICT_DONE_BEFORE;
	for (size_t i = 0; i < lengthof(status_rules); i++)
	{
		const StatusRule *rule = &status_rules[i];

		if (status >= rule->first && status <= rule->last)
			return request->idempotent ? rule->repeatable : rule->once;
	}
	return VERDICT_FAILED;
}

/* The verdict on a request that was sent and whose answer is lost. */
Verdict
flex_verdict_if_lost(const HttpRequest *request)
{
	return request->idempotent ? VERDICT_AGAIN : VERDICT_UNKNOWN;
}

/* How it failed then. */
FailureKind
flex_failure_if_lost(const HttpRequest *request)
{
	return request->idempotent ? FAILURE_ANSWER_LOST : FAILURE_OUTCOME_UNKNOWN;
}

/* The verdict on a transfer that is over, or given up. */
static Verdict
judge(const HttpRequest *request, const TransferResult *result, bool was_maybe_done)
{
	switch (result->state)
	{
		case TRANSFER_ANSWERED:
			return judge_status(request, result->status, was_maybe_done);
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

/* What it was that an operator has to mend. */
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
			/* One that brings its own credentials is refused by itself. */
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

/* How a transfer failed. */
static FailureKind
failure_kind(const HttpRequest *request, const TransferResult *result)
{
	if (result->state == TRANSFER_ANSWERED)
		return FAILURE_NONE;
	if (result->state == TRANSFER_TOO_LARGE)
		return FAILURE_TOO_LARGE;
	return result->was_sent ? flex_failure_if_lost(request) : FAILURE_NEVER_SENT;
}

/* Why no whole answer came, in the database's encoding. */
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
 * What an attempt at a request came to, whose transfer is over, or is given up
 * for the reason given.  was_maybe_done: an earlier attempt may have been carried
 * out.  Texts are allocated in the current context.
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
		.verdict = judge(request, &result, was_maybe_done),
		.to_mend = find_mend(endpoint, &result),
		.was_sent = result.was_sent,
		.may_be_done = result.was_sent && !(is_answered && result.status / 100 == 4),
		.failure_kind = failure_kind(request, &result),
		.answer.method = request->method,
		.answer.path = flex_request_shown_path(request),
		.answer.http_status = result.status,
		.answer.idempotent = request->idempotent,
		.answer.made_as = may_be_due_to_credentials(result.status) ? endpoint->made_as : NULL,
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
	if (outcome.verdict == VERDICT_AGAIN || outcome.verdict == VERDICT_THROTTLED)
		outcome.retry_after_ms = result.retry_after_ms;
	if (!is_answered)
		outcome.failure = failure_text(&result, given_up);
	if (request_id != NULL)
		outcome.answer.request_id = flex_text_for_message(request_id, strlen(request_id));
	if (is_answered && !is_success(result.status) && result.body_length > 0)
		flex_problem_read(&outcome.answer, result.body, result.body_length);
	return outcome;
}

/* What a request comes to that is not sent, in the current context, for that reason. */
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

/* True when the request was carried out, by this attempt or an earlier one. */
bool
flex_outcome_is_good(const Outcome *outcome)
{
	return outcome->verdict == VERDICT_SUCCEEDED || outcome->verdict == VERDICT_DONE_BEFORE;
}

/*
 * The SID that a good answer gives, all of it or what was taken of one too large;
 * NULL: none.  It takes a look through the body, so it is no part of the outcome.
 */
char *
flex_outcome_find_sid(const Outcome *outcome)
{
	bool has_answer = outcome->failure_kind == FAILURE_NONE || outcome->failure_kind == FAILURE_TOO_LARGE;

	if (!has_answer || !is_success(outcome->answer.http_status) || outcome->body_length == 0)
		return NULL;
	return flex_identifier_find(outcome->body, outcome->body_length, outcome->request->key);
}

/* The same for an error that is about to be raised, whose place a cancel must not take. */
static char *
find_sid_uninterrupted(const Outcome *outcome)
{
	char *sid;

	HOLD_INTERRUPTS();
	sid = flex_outcome_find_sid(outcome);
	RESUME_INTERRUPTS();
	return sid;
}

/* Show the answer's headers to a function, one by one. */
void
flex_outcome_visit_headers(const Outcome *outcome, HeaderVisitor visit, void *state)
{
	flex_transfer_visit_headers(outcome->transfer, visit, state);
}

/* Raise what an outcome that is not good means for a direct call. */
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
 * Raise again, from a PG_CATCH(), what went wrong in reading a good answer: for
 * what must not be sent again, with all that is needed to go on.  Texts are
 * allocated in the context.
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
