/*
 * settlement.c
 *		Settles requests of the outbox: decides what becomes of them after an attempt.
 *
 * The verdict on the attempt is turned into the request's new state, the time of its next
 * attempt, and the texts that are stored.  The caller must be in a transaction with the
 * outbox's rights.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "answer/decoder.h"
#include "answer/jsonb_sids.h"
#include "answer/jsonb_text.h"
#include "base/backoff.h"
#include "base/encoding.h"
#include "delivery/mending.h"
#include "delivery/settlement.h"
#include "outbox/settling.h"
#include "request/json_arguments.h"

#define DEFERRED_MS 1000       /* until the next attempt, if there was no file descriptor */
#define MISCONFIGURED_MS 60000 /* until the next attempt, if an operator has to mend something */

#define SHOWN_BYTES 4000 /* of an error's message; bounded because one statement writes many of them */

static const char state_pending[] = "pending";
static const char state_succeeded[] = "succeeded";
static const char state_failed[] = "failed";
static const char state_uncertain[] = "uncertain";
static const char state_cancelled[] = "cancelled";

/*
 * Make a settlement that of a request that has expired, which counts as failed.  last_error is
 * the message of the last attempt, or NULL if there was none.
 */
static void
expire(Settlement *settlement, const char *last_error)
{
	settlement->state = state_failed;
	settlement->run_at = 0;
	settlement->cause = NULL;
	settlement->held_since = 0;
	settlement->is_held = false;
	settlement->http_status = 0;
	settlement->error_code = "expired";
	settlement->error_message = "the request expired before it was sent";
	if (last_error != NULL)
		settlement->error_message = flex_text_clip(
			psprintf("the request expired before it was sent again; the last attempt: %s", last_error), SHOWN_BYTES);
}

/*
 * Reduce what is stored of a request that has ended to identifiers (flex_api.outbox_keep).
 * Error codes are kept, the service's messages are not.
 */
static void
reduce(const Claim *claim, Settlement *settlement)
{
	Assert(claim->arguments != NULL);
	settlement->arguments = JsonbPGetDatum(flex_jsonb_sids(claim->arguments));
	settlement->context = JsonbPGetDatum(claim->context);
	if (settlement->response != (Datum) 0)
		settlement->response = JsonbPGetDatum(flex_jsonb_sids(DatumGetJsonbP(settlement->response)));
	settlement->error_message = NULL;
}

/*
 * Have a settlement written.  A request that would become pending although it has expired
 * fails instead.  If the claim has a callback for the new state, that is planned.
 */
static void
write_settlement(const Claim *claim, Settlement *settlement)
{
	const char *state;

	if (settlement->state == state_pending && flex_claim_has_expired(claim))
		expire(settlement, settlement->error_message != NULL ? settlement->error_message : claim->last_error);
	state = settlement->state;
	Assert(state != NULL);
	settlement->with_callback = (state == state_succeeded && claim->on_success) ||
								((state == state_failed || state == state_uncertain) && claim->on_failure);
	settlement->may_be_done |= claim->may_be_done;
	/* With a callback, reduce only after it, as it is to see all.  Never reduce what can be retried. */
	if (claim->is_to_be_reduced && !settlement->with_callback && (state == state_succeeded || state == state_cancelled))
		reduce(claim, settlement);
	flex_outbox_settle(claim, settlement);
}

/* Plan another attempt after delay_ms, or make the request failed if it has had its attempts. */
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

/*
 * Store the body of a successful answer in the settlement.  If it cannot be parsed or stored,
 * set the error instead and return false.  A cancel is raised.
 */
static bool
read_response(const Outcome *outcome, Settlement *settlement)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = true;

	if (outcome->body_length == 0)
		return true;
	PG_TRY();
	{
		settlement->response = flex_decode_jsonb(outcome->body, outcome->body_length);
		if (flex_jsonb_text_exceeds(DatumGetJsonbP(settlement->response),
									Max(FLEX_MOST_JSON_TEXT, outcome->body_length)))
		{
			settlement->response = (Datum) 0;
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("the text of the answer's numbers is too long to be kept")));
		}
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

/* Set the error for a successful answer that there is no time to read.  Return false. */
static bool
skip_response(const Outcome *outcome, Settlement *settlement)
{
	settlement->error_code = pstrdup(unpack_sql_state(flex_error_sqlstate(flex_failure_if_lost(outcome->request))));
	settlement->error_message = "the sender was stopped before it had read the answer";
	return false;
}

/* Store the answer's status, identifiers and error in the settlement, or why there is no answer. */
static void
note_answer(const Outcome *outcome, Settlement *settlement)
{
	const Problem *answer = &outcome->answer;

	settlement->may_be_done = outcome->may_be_done;
	settlement->http_status = answer->http_status;
	settlement->request_id = answer->request_id;
	settlement->sid = flex_outcome_find_sid(outcome);
	if (outcome->failure_kind != FAILURE_NONE)
	{
		settlement->error_code = pstrdup(unpack_sql_state(flex_error_sqlstate(outcome->failure_kind)));
		settlement->error_message = outcome->failure;
		return;
	}
	settlement->error_code = answer->code;
	settlement->error_message = answer->message;
	if (answer->message == NULL && outcome->verdict != VERDICT_SUCCEEDED)
		settlement->error_message = psprintf("the Flex API answered with HTTP status %d", answer->http_status);
	if (answer->made_as != NULL && settlement->error_message != NULL)
		settlement->error_message = psprintf("%s. It was made as %s.", settlement->error_message, answer->made_as);
}

/*
 * Plan another attempt of a request that was refused with 429, which does not count as an
 * attempt.  It keeps its place among the requests of its lane, and is sent when the rate limit
 * allows; but not earlier than the service asked for.
 */
static void
plan_next_turn(Settlement *settlement, int64 asked_ms)
{
	settlement->uncounted = true;
	settlement->state = state_pending;
	if (asked_ms > 0)
		settlement->run_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), asked_ms);
}

/* Plan another attempt of a request that waits for an operator; the failed one does not count. */
static void
plan_after_hold(Settlement *settlement, const Wait *wait)
{
	settlement->uncounted = true;
	settlement->state = state_pending;
	settlement->run_at = wait->until;
	settlement->held_since = wait->since;
	settlement->is_held = true;
	settlement->cause = settlement->http_status != 0 ? "TW401" : settlement->error_code;
}

/*
 * Settle a request by the outcome of its attempt.  wait is the result of flex_holds_note().
 * read tells that there is time to parse a successful answer.  Return the new state.
 */
const char *
flex_settle_attempt(const Claim *claim, const Outcome *outcome, Wait wait, bool read)
{
	Settlement settlement = {0};
	Verdict verdict = outcome->verdict;
	int64 delay_ms;

	note_answer(outcome, &settlement);
	if (wait.since != 0)
	{
		plan_after_hold(&settlement, &wait);
		write_settlement(claim, &settlement);
		return settlement.state;
	}
	if (verdict == VERDICT_SUCCEEDED &&
		!(read ? read_response(outcome, &settlement) : skip_response(outcome, &settlement)))
		verdict = flex_verdict_if_lost(outcome->request);
	switch (verdict)
	{
		case VERDICT_SUCCEEDED:
		case VERDICT_DONE_BEFORE:
			settlement.state = state_succeeded;
			break;
		case VERDICT_AGAIN:
			delay_ms = Max(outcome->retry_after_ms, flex_backoff_ms(BACKOFF_OUTBOX, claim->attempts - 1));
			plan_next_attempt(claim, &settlement, delay_ms);
			break;
		case VERDICT_THROTTLED:
			plan_next_turn(&settlement, outcome->retry_after_ms);
			break;
		case VERDICT_DEFERRED:
			settlement.uncounted = true;
			plan_next_attempt(claim, &settlement, DEFERRED_MS);
			break;
		case VERDICT_UNKNOWN:

			/*
			 * A successful answer may have been lost because it could not be stored.  If it
			 * contains a SID, it came from the service, which has carried the request out,
			 * and the SID is what users need.  Otherwise a gateway may have sent it.
			 */
			settlement.state = settlement.sid != NULL ? state_succeeded : state_uncertain;
			break;
		case VERDICT_FAILED:
			settlement.state = state_failed;
			break;
	}
	write_settlement(claim, &settlement);
	return settlement.state;
}

/*
 * Causes for which a request could not be made, by SQLSTATE or category.  The first entry that
 * matches applies; a cause that is not listed is one that an operator can mend.
 */
static const struct
{
	int sqlerrcode;
	bool is_operators; /* false: the fault is the request's own, so each attempt would fail */
} causes[] = {
	{ERRCODE_INSUFFICIENT_PRIVILEGE, true}, /* rights can be granted */
	{ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION, false},
	{ERRCODE_DATA_EXCEPTION, false},
	{ERRCODE_PROGRAM_LIMIT_EXCEEDED, false},
};

/* Return true for an error that an operator can mend, as missing settings or a lack of resources. */
static bool
is_operators(int sqlerrcode)
{
	for (size_t i = 0; i < lengthof(causes); i++)
	{
		if (causes[i].sqlerrcode == sqlerrcode || causes[i].sqlerrcode == ERRCODE_TO_CATEGORY(sqlerrcode))
			return causes[i].is_operators;
	}
	return true;
}

/*
 * Settle a request that could not be made, because of the given error.  If an operator can mend
 * that, it stays pending.  Return the new state.
 */
const char *
flex_settle_unsent(const Claim *claim, const ErrorData *error)
{
	bool can_be_mended = !claim->foreign && is_operators(error->sqlerrcode);
	Settlement settlement = {
		.error_code = unpack_sql_state(error->sqlerrcode),
		.error_message = error->message,
	};

	if (error->message != NULL && error->hint != NULL && can_be_mended)
		settlement.error_message = psprintf("%s. %s", error->message, error->hint);
	if (settlement.error_message != NULL)
		settlement.error_message = flex_text_clip(settlement.error_message, SHOWN_BYTES);
	if (claim->foreign)
		settlement.state = state_cancelled;
	else if (flex_claim_has_expired(claim))
	{
		settlement.uncounted = true;
		expire(&settlement, claim->last_error);
	}
	else if (can_be_mended)
	{
		flex_mending_await(error);
		settlement.uncounted = true;
		settlement.cause = settlement.error_code;
		settlement.held_since = claim->held_since != 0 ? claim->held_since : GetCurrentTimestamp();
		plan_next_attempt(claim, &settlement, MISCONFIGURED_MS);
	}
	else
		settlement.state = state_failed;
	write_settlement(claim, &settlement);
	return settlement.state;
}

/* Settle a request that was claimed and then not sent: it becomes pending again, and no attempt is counted. */
void
flex_settle_unstarted(const Claim *claim)
{
	Settlement settlement = {.uncounted = true};

	plan_next_attempt(claim, &settlement, 0);
	write_settlement(claim, &settlement);
}

/* Settle a request whose sender has exited; the request may have been sent. */
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
	write_settlement(claim, &settlement);
}
