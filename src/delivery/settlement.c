/*
 * settlement.c
 *		What becomes of a request in the outbox after an attempt.
 *
 * The verdict on the transfer decides; this file turns it into a state, a time
 * for the next attempt and the texts that are kept.  The caller stands in a
 * transaction with the outbox's rights.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "answer/decoder.h"
#include "base/encoding.h"
#include "base/settings.h"
#include "delivery/settlement.h"
#include "request/json_arguments.h"

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MOST_MS (10 * 60 * 1000)
#define DEFERRED_MS 1000       /* until there may be a file descriptor again */
#define MISCONFIGURED_MS 60000 /* until somebody may have mended the settings */

#define STATUS_NOT_FOUND 404

#define SHOWN_BYTES 4000 /* of an error's message, for those of many requests are written at once */

static const char state_pending[] = "pending";
static const char state_succeeded[] = "succeeded";
static const char state_failed[] = "failed";
static const char state_uncertain[] = "uncertain";
static const char state_cancelled[] = "cancelled";

/* True when the request has a callback for a state. */
static bool
has_callback(const Claim *claim, const char *state)
{
	if (state == state_succeeded)
		return claim->on_success;
	return claim->on_failure && (state == state_failed || state == state_uncertain);
}

/* True when an attempt may have been carried out: it was sent, and not refused. */
static bool
may_be_done(const Transfer *transfer)
{
	bool refused = flex_transfer_state(transfer) == TRANSFER_ANSWERED && flex_transfer_status(transfer) / 100 == 4;

	return flex_transfer_was_sent(transfer) && !refused;
}

/* Write a settlement down. */
static void
settle(const Claim *claim, Settlement *settlement)
{
	settlement->with_callback = has_callback(claim, settlement->state);
	settlement->may_be_done |= claim->may_be_done;
	flex_outbox_settle(claim, settlement);
}

/* Send it again after a while, or give up when there were enough attempts. */
static void
plan_next_attempt(const Claim *claim, Settlement *settlement, int64 delay_ms)
{
	if (!settlement->uncounted && claim->attempts >= claim->max_attempts)
	{
		settlement->state = state_failed;
		return;
	}
	settlement->state = state_pending;
	settlement->run_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay_ms);
}

/* The body of a good answer, or false when it makes no sense: then the error says why. */
static bool
read_response(const Transfer *transfer, Settlement *settlement)
{
	MemoryContext context = CurrentMemoryContext;
	size_t length;
	const char *body = flex_transfer_body(transfer, &length);
	volatile bool good = true;

	if (length == 0)
		return true;
	PG_TRY();
	{
		settlement->response = flex_decode_jsonb(body, length);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		FlushErrorState();
		settlement->error_code = pstrdup(unpack_sql_state(error->sqlerrcode));
		settlement->error_message =
			flex_text_clip(psprintf("%s: %s", error->message, error->detail ? error->detail : ""), SHOWN_BYTES);
		good = false;
	}
	PG_END_TRY();
	return good;
}

/* Note what the service said, or why it said nothing. */
static void
explain(const HttpRequest *request, const Transfer *transfer, const char *given_up, Settlement *settlement)
{
	Problem problem;

	flex_verdict_explain(request, transfer, &problem);
	settlement->http_status = problem.http_status;
	settlement->request_id = problem.request_id;
	settlement->sid = problem.sid;
	if (flex_transfer_state(transfer) == TRANSFER_ANSWERED)
	{
		settlement->error_code = problem.code;
		settlement->error_message = problem.message;
		if (problem.message == NULL && problem.http_status / 100 != 2)
			settlement->error_message = psprintf("the Flex API answered with HTTP status %d", problem.http_status);
		return;
	}
	settlement->error_code = flex_transfer_was_sent(transfer) ? (request->idempotent ? "08006" : "08007") : "08001";
	settlement->error_message =
		flex_text_for_message(flex_transfer_failure(transfer), strlen(flex_transfer_failure(transfer)));
	if (flex_transfer_state(transfer) == TRANSFER_RUNNING)
		settlement->error_message = given_up;
	if (flex_transfer_state(transfer) == TRANSFER_TOO_LARGE)
	{
		settlement->error_code = "08P01";
		settlement->error_message =
			psprintf("the Flex API's answer is larger than %d kB", flex_settings.max_response_size);
	}
}

/* Hold the operation back when the service asks for it.  Returns the milliseconds. */
static int64
hold_as_asked(const Claim *claim, const Transfer *transfer)
{
	int64 asked = flex_transfer_retry_after(transfer) * 1000;

	if (asked > 0 && flex_operation_find(claim->operation) != NULL)
		flex_outbox_hold(flex_operation_find(claim->operation),
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), asked));
	return asked;
}

/*
 * The state of what must not be sent again and has a good answer that cannot be
 * kept.  One that gives a SID is the service's: it was carried out, and the SID
 * is what one needs to go on.  Anything else may be what a gateway said.
 */
static const char *
state_without_response(const Settlement *settlement)
{
	return settlement->sid != NULL ? state_succeeded : state_uncertain;
}

/* Say that a good answer is not known, for there is no time to read it.  Returns false. */
static bool
skip_response(const HttpRequest *request, Settlement *settlement)
{
	settlement->error_code = request->idempotent ? "08006" : "08007";
	settlement->error_message = "the sender was stopped before it had read the answer";
	return false;
}

/* A good answer: a success, if it can be read. */
static void
settle_success(const Claim *claim, const HttpRequest *request, const Transfer *transfer, bool read,
			   Settlement *settlement)
{
	if (read ? read_response(transfer, settlement) : skip_response(request, settlement))
		settlement->state = state_succeeded;
	else if (request->idempotent)
		plan_next_attempt(claim, settlement, flex_backoff_ms(claim->attempts - 1, BACKOFF_FIRST_MS, BACKOFF_MOST_MS));
	else
		settlement->state = state_without_response(settlement);
}

/* A DELETE whose first answer was lost may find gone what it has deleted. */
static bool
was_deleted_before(const Claim *claim, const HttpRequest *request, const Transfer *transfer)
{
	return claim->may_be_done && strcmp(request->method, "DELETE") == 0 &&
		   flex_transfer_state(transfer) == TRANSFER_ANSWERED && flex_transfer_status(transfer) == STATUS_NOT_FOUND;
}

/* Settle a request as its transfer was judged. */
static void
settle_judged(const Claim *claim, const HttpRequest *request, const Transfer *transfer, bool read,
			  Settlement *settlement)
{
	int64 delay;

	switch (flex_verdict_judge(request, transfer))
	{
		case VERDICT_SUCCEEDED:
			settle_success(claim, request, transfer, read, settlement);
			break;
		case VERDICT_AGAIN:
			delay = hold_as_asked(claim, transfer);
			delay = Max(delay, flex_backoff_ms(claim->attempts - 1, BACKOFF_FIRST_MS, BACKOFF_MOST_MS));
			plan_next_attempt(claim, settlement, delay);
			break;
		case VERDICT_DEFERRED:
			settlement->uncounted = true;
			plan_next_attempt(claim, settlement, DEFERRED_MS);
			break;
		case VERDICT_UNKNOWN:
			settlement->state = state_without_response(settlement);
			break;
		case VERDICT_FAILED:
			settlement->state = was_deleted_before(claim, request, transfer) ? state_succeeded : state_failed;
			break;
	}
	settle(claim, settlement);
}

/*
 * Settle a request by its transfer, which is over, or is given up for that
 * reason.  What is needed to read the answer, some hundred times its bytes where
 * these are dense, is freed before the next one.  read: false when there is no
 * time for a good answer.
 */
void
flex_settle_attempt(const Claim *claim, const HttpRequest *request, const Transfer *transfer, const char *given_up,
					bool read)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "flex_api answer", ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Settlement settlement = {.may_be_done = may_be_done(transfer)};

	explain(request, transfer, given_up, &settlement);
	settle_judged(claim, request, transfer, read, &settlement);
	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
}

/* True for errors that the request itself is to blame for, and always will be. */
static bool
is_requests_fault(int sqlerrcode)
{
	int category = ERRCODE_TO_CATEGORY(sqlerrcode);

	/* What was revoked can be granted again. */
	if (sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE)
		return false;
	return category == ERRCODE_DATA_EXCEPTION || category == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION ||
		   category == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
}

/*
 * Settle a request that could not even be made.  Settings that are missing, or a
 * server that is short of something, are no failure of the request's: it waits
 * until somebody has mended that.
 */
void
flex_settle_unsent(const Claim *claim, const ErrorData *error)
{
	Settlement settlement = {
		.error_code = unpack_sql_state(error->sqlerrcode),
		.error_message = error->message != NULL ? flex_text_clip(error->message, SHOWN_BYTES) : NULL,
	};

	if (claim->foreign)
		settlement.state = state_cancelled;
	else if (is_requests_fault(error->sqlerrcode))
		settlement.state = state_failed;
	else
	{
		settlement.uncounted = true;
		plan_next_attempt(claim, &settlement, MISCONFIGURED_MS);
	}
	settle(claim, &settlement);
}

/* Settle a request that was claimed and then not sent: it is as it was. */
void
flex_settle_unstarted(const Claim *claim)
{
	Settlement settlement = {.uncounted = true};

	plan_next_attempt(claim, &settlement, 0);
	settle(claim, &settlement);
}

/* Settle a request whose sender is gone: it may have been sent. */
void
flex_settle_orphan(const Claim *claim)
{
	const Operation *operation = flex_operation_find(claim->operation);
	Settlement settlement = {
		.error_code = "08007",
		.error_message = "the sender ended before the answer was recorded",
		.may_be_done = true,
	};

	if (claim->foreign)
		settlement.state = state_cancelled;
	else if (operation != NULL && flex_json_arguments_is_idempotent(operation, claim->arguments))
		plan_next_attempt(claim, &settlement, 0);
	else
		settlement.state = state_uncertain;
	settle(claim, &settlement);
}
