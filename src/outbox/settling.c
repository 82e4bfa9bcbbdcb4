/*
 * settling.c
 *		What became of claimed requests, written into the outbox.
 *
 * Settlements are collected, and written by flex_outbox_flush() with one statement for many,
 * which costs half as much as one for each.  A settlement with a large response is written at
 * once, to avoid a copy.  If a statement fails, because a trigger or constraint of a user has
 * raised an error, each half is tried separately, down to the requests that are refused.
 *
 * The caller repeats the settlements of these, of requests whose rows were locked, and of
 * transactions that were rolled back.
 *
 * The caller must have connected to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/ordered_rows.h"
#include "outbox/settled_rows.h"
#include "outbox/settling.h"

#define SETTLEMENTS_AT_ONCE 256
#define LARGE_RESPONSE (16 * 1024)

static void
set_settled_value(SettlementValues *to, SettlementColumn column, Datum value, bool is_null)
{
	to->values[column] = value;
	to->nulls[column] = is_null;
}

static void
set_settled_text(SettlementValues *to, SettlementColumn column, const char *text)
{
	set_settled_value(to, column, text != NULL ? CStringGetTextDatum(text) : (Datum) 0, text == NULL);
}

static void
set_settled_jsonb(SettlementValues *to, SettlementColumn column, Datum value)
{
	set_settled_value(to, column, value, value == (Datum) 0);
}

/* Fill in the columns of a settlement.  Texts are allocated in the current memory context, jsonb is not copied. */
static void
fill_settlement(SettlementValues *to, const Claim *claim, const Settlement *settlement)
{
	set_settled_value(to, SETTLEMENT_id, Int64GetDatum(claim->id), false);
	set_settled_value(to, SETTLEMENT_turn, Int32GetDatum(claim->turn), false);
	set_settled_value(to, SETTLEMENT_enqueued_xid, Int64GetDatum((int64) claim->enqueued_xid), false);
	set_settled_value(to, SETTLEMENT_claimed_in, Int64GetDatum((int64) claim->claimed_in), false);
	set_settled_value(to, SETTLEMENT_lane, Int32GetDatum(claim->lane), false);
	set_settled_text(to, SETTLEMENT_cause, settlement->cause);
	set_settled_value(to, SETTLEMENT_held_since, TimestampTzGetDatum(settlement->held_since),
					  settlement->held_since == 0);
	set_settled_value(to, SETTLEMENT_started_at, TimestampTzGetDatum(claim->started_at), false);
	set_settled_text(to, SETTLEMENT_state, settlement->state);
	set_settled_value(to, SETTLEMENT_with_callback, BoolGetDatum(settlement->with_callback), false);
	set_settled_value(to, SETTLEMENT_run_at, TimestampTzGetDatum(settlement->run_at), settlement->run_at == 0);
	set_settled_value(to, SETTLEMENT_uncounted, Int32GetDatum(settlement->uncounted ? 1 : 0), false);
	set_settled_value(to, SETTLEMENT_may_be_done, BoolGetDatum(settlement->may_be_done), false);
	set_settled_value(to, SETTLEMENT_http_status, Int32GetDatum(settlement->http_status), settlement->http_status == 0);
	set_settled_text(to, SETTLEMENT_error_code, settlement->error_code);
	set_settled_text(to, SETTLEMENT_error_message, settlement->error_message);
	set_settled_text(to, SETTLEMENT_request_id, settlement->request_id);
	set_settled_jsonb(to, SETTLEMENT_response, settlement->response);
	set_settled_jsonb(to, SETTLEMENT_arguments, settlement->arguments);
	set_settled_jsonb(to, SETTLEMENT_context, settlement->context);
	set_settled_text(to, SETTLEMENT_sid, settlement->sid);
}

/* For each lane the first time at which a request waits that this transaction has settled. */
static LaterKey later[LATER_KEPT];
static int later_count;

/*
 * Return, for each lane, the first time for which a request waits that was settled in this transaction or,
 * between transactions, in the last one.  The array is static, and has LATER_KEPT lanes at most.
 */
const LaterKey *
flex_outbox_later(int *count)
{
	*count = later_count;
	return later;
}

/* Return the key by which a settled request waits, or one with lane 0 if it is not pending. */
static LaterKey
later_of(const Claim *claim, const Settlement *settlement)
{
	TimestampTz due_at = settlement->run_at != 0 ? settlement->run_at : GetCurrentTimestamp();

	if (strcmp(settlement->state, "pending") != 0)
		return (LaterKey){0};
	return (LaterKey){claim->lane, due_at, claim->id, claim->turn, settlement->is_held};
}

/* Add a request that waits to "later", unless its settlement was not written. */
static void
note_later(const LaterKey *key)
{
	if (key->lane == 0 || flex_settled_rows_obstacle(key->id) != OBSTACLE_NONE)
		return;
	for (int i = 0; i < later_count; i++)
	{
		if (later[i].lane == key->lane)
		{
			later[i].due_at = Min(later[i].due_at, key->due_at);
			later[i].is_held |= key->is_held;
			return;
		}
	}
	if (later_count < LATER_KEPT)
		later[later_count++] = *key;
}

/* The settlements that have been collected, with their values in collected_context. */
static MemoryContext collected_context;
static SettlementValues collected[SETTLEMENTS_AT_ONCE];
static LaterKey collected_later[SETTLEMENTS_AT_ONCE];
static int collected_count;

static const SettlementColumn jsonb_columns[] = {SETTLEMENT_response, SETTLEMENT_arguments, SETTLEMENT_context};

/* Copy a settlement, to be written with others. */
static void
collect(const Claim *claim, const Settlement *settlement)
{
	MemoryContext before = MemoryContextSwitchTo(collected_context);
	SettlementValues *row = &collected[collected_count];

	Assert(collected_count < SETTLEMENTS_AT_ONCE);
	fill_settlement(row, claim, settlement);
	for (size_t i = 0; i < lengthof(jsonb_columns); i++)
	{
		Datum *value = &row->values[jsonb_columns[i]];

		if (!row->nulls[jsonb_columns[i]])
			*value = JsonbPGetDatum(DatumGetJsonbPCopy(*value));
	}
	MemoryContextSwitchTo(before);
	collected_later[collected_count++] = later_of(claim, settlement);
}

/* Settle a claimed request.  This is written now, or by flex_outbox_flush() at the latest. */
void
flex_outbox_settle(const Claim *claim, const Settlement *settlement)
{
	Assert(settlement->state != NULL && collected_context != NULL);
	if (settlement->response != (Datum) 0 && VARSIZE_ANY(DatumGetPointer(settlement->response)) > LARGE_RESPONSE)
	{
		LaterKey key = later_of(claim, settlement);
		SettlementValues row;
		ErrorData *error;

		fill_settlement(&row, claim, settlement);
		error = flex_settled_rows_write_large(&row);
		if (error != NULL)
			flex_settled_rows_note_refusal(claim->id, error);
		note_later(&key);
		return;
	}
	collect(claim, settlement);
	if (collected_count == SETTLEMENTS_AT_ONCE)
		flex_outbox_flush();
}

/* Forget the settlements that have been collected. */
static void
forget_collected(void)
{
	MemoryContextReset(collected_context);
	collected_count = 0;
}

/* Write collected settlements.  If that fails, try each half separately, down to the ones that are refused. */
static void
write_by_halves(int from, int count)
{
	ErrorData *error;

	CHECK_FOR_INTERRUPTS();
	error = flex_settled_rows_write(&collected[from], count);
	if (error == NULL)
		return;
	if (count == 1)
	{
		flex_settled_rows_note_refusal(DatumGetInt64(collected[from].values[SETTLEMENT_id]), error);
		return;
	}
	write_by_halves(from, count / 2);
	write_by_halves(from + count / 2, count - count / 2);
}

/* Write the settlements that have been collected. */
void
flex_outbox_flush(void)
{
	if (collected_count == 0)
		return;
	write_by_halves(0, collected_count);
	for (int i = 0; i < collected_count; i++)
		note_later(&collected_later[i]);
	forget_collected();
}

/* Reset all of this at the beginning of a transaction: settlements that an earlier one did not commit are void. */
void
flex_outbox_discard(void)
{
	if (collected_context == NULL)
		collected_context = AllocSetContextCreate(TopMemoryContext, "flex_api settlements", ALLOCSET_DEFAULT_SIZES);
	forget_collected();
	later_count = 0;
	flex_settled_rows_begin();
	flex_ordered_discard();
}
