/*
 * settling.c
 *		What became of claimed requests, written into the outbox.
 *
 * Settlements are collected and written by flex_outbox_flush(): one statement for
 * many costs half of one for each.  A settlement with a large response is written by
 * itself, without a copy of that.  What a transaction that failed has written is made
 * anew by the caller.
 *
 * The caller has connected to SPI, and stands between flex_outbox_enter() and
 * flex_outbox_leave().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/settling.h"
#include "outbox/statements.h"

#define CHANNEL "flex_api"
#define MOST_QUEUE_USAGE 0.75 /* of the server's queue of notifications */

#define SETTLEMENTS_AT_ONCE 256
#define LARGE_RESPONSE (16 * 1024)

/*
 * True when the server's queue of notifications has room.  A session that listens
 * and does not read fills it, which anybody can do; then a commit that notifies
 * fails, and with it the answers that it records.  So nobody is told, meanwhile.
 */
static bool
may_notify(void)
{
	return DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0)) < MOST_QUEUE_USAGE;
}

/* Tell sessions that listen that a request has reached its last state. */
void
flex_outbox_notify(int64 id, const char *state)
{
	if (may_notify())
		Async_Notify(CHANNEL, psprintf(INT64_FORMAT " %s", id, state));
}

/* The columns of a settlement: the parameters of both statements, and what they call "s". */
#define SETTLEMENT_COLUMNS(COLUMN)                                                                                     \
	COLUMN(id, INT8OID)                                                                                                \
	COLUMN(turn, INT4OID)                                                                                              \
	COLUMN(enqueued_xid, XID8OID)                                                                                      \
	COLUMN(claimed_in, XID8OID)                                                                                        \
	COLUMN(lane, INT4OID)                                                                                              \
	COLUMN(cause, TEXTOID)                                                                                             \
	COLUMN(started_at, TIMESTAMPTZOID)                                                                                 \
	COLUMN(state, TEXTOID)                                                                                             \
	COLUMN(with_callback, BOOLOID)                                                                                     \
	COLUMN(run_at, TIMESTAMPTZOID)                                                                                     \
	COLUMN(uncounted, INT4OID)                                                                                         \
	COLUMN(may_be_done, BOOLOID)                                                                                       \
	COLUMN(http_status, INT4OID)                                                                                       \
	COLUMN(error_code, TEXTOID)                                                                                        \
	COLUMN(error_message, TEXTOID)                                                                                     \
	COLUMN(request_id, TEXTOID)                                                                                        \
	COLUMN(response, JSONBOID)                                                                                         \
	COLUMN(sid, TEXTOID)

#define SENDER_PARAMETERS 2 /* before the columns: this process, by number and start; the first column is $3 */

#define NUMBER_OF_COLUMN(name, type) SETTLEMENT_##name,
#define NAME_OF_COLUMN(name, type) {#name, type},

typedef enum SettlementColumn
{
	SETTLEMENT_COLUMNS(NUMBER_OF_COLUMN) Natts_settlement
} SettlementColumn;

static const NamedParameter settlement_columns[] = {SETTLEMENT_COLUMNS(NAME_OF_COLUMN)};

StaticAssertDecl(lengthof(settlement_columns) == Natts_settlement, "each column of a settlement is a parameter");

/* What is returned of a request; state is NULL where it is not the last one. */
typedef struct Settled
{
	int64 id;
	char *state;
	bool is_held; /* somebody has its row locked, and it was not settled */
} Settled;

static const ResultColumn settled_columns[] = {
	RESULT_COLUMN("s.id", INT8OID, Settled, id),
	RESULT_COLUMN("CASE WHEN s.state <> 'pending' AND NOT s.with_callback THEN s.state END", TEXTOID, Settled, state),
	RESULT_COLUMN("false", BOOLOID, Settled, is_held),
};

/*
 * Its callback, if it has one, is due from then on.  The claim's row tells a request
 * from another that has got its number, in an outbox that was emptied or made anew.
 * What is to be sent again waits for its time in a row of its own.  A row that somebody has
 * locked is left, and told of.
 */
#define SETTLE_FROM(list, keys, is_one)                                                                                \
	"WITH free AS (SELECT f.id FROM $t.flex_outbox_requests AS f WHERE f.id " is_one " AND f.state = 'pending' "       \
	"FOR NO KEY UPDATE SKIP LOCKED), "                                                                                 \
	"settled AS (UPDATE $t.flex_outbox_requests AS o SET state = s.state, "                                            \
	"finished_at = CASE WHEN s.state <> 'pending' THEN clock_timestamp() END, "                                        \
	"run_at = coalesce(s.run_at, o.run_at), turn = s.turn, started_at = s.started_at, "                                \
	"attempts = least(o.attempts, 2147483646) + 1 - s.uncounted, may_be_done = s.may_be_done, "                        \
	"http_status = s.http_status, error_code = s.error_code, error_message = s.error_message, "                        \
	"request_id = s.request_id, response = s.response, sid = s.sid FROM " list " AS s ($names) "                       \
	"WHERE s.id = ANY (ARRAY(SELECT id FROM free)) AND "                                                               \
	"o.id = s.id AND o.enqueued_xid = s.enqueued_xid AND o.turn = s.turn - 1 AND o.state = 'pending' AND "             \
	"EXISTS (SELECT FROM $t.flex_outbox_claims AS c "                                                                  \
	"WHERE c.id = s.claimed_in AND c.sender_pid = $1 AND c.sender_start = $2) "                                        \
	"RETURNING o.id, o.role_id, o.run_at, s.state, s.with_callback, s.turn, s.lane, s.cause), "                        \
	"due AS (INSERT INTO $t.flex_outbox_callbacks (id, role_id, due_at) SELECT id, role_id, clock_timestamp() "        \
	"FROM settled WHERE with_callback ON CONFLICT (id) DO UPDATE SET role_id = excluded.role_id, "                     \
	"due_at = excluded.due_at, attempts = 0, error = NULL), "                                                          \
	"waiting AS (INSERT INTO $t.flex_outbox_later (lane, due_at, id, turn, cause) "                                    \
	"SELECT lane, run_at, id, turn, cause FROM settled WHERE state = 'pending') SELECT $result FROM settled AS s "     \
	"UNION ALL SELECT o.id, NULL, true FROM " keys " AS s (id, turn, enqueued_xid, claimed_in), "                      \
	"$t.flex_outbox_requests AS o WHERE s.id <> ALL (ARRAY(SELECT id FROM free)) AND "                                 \
	"o.id = s.id AND o.enqueued_xid = s.enqueued_xid AND o.turn = s.turn - 1 AND o.state = 'pending' AND "             \
	"EXISTS (SELECT FROM $t.flex_outbox_claims AS c "                                                                  \
	"WHERE c.id = s.claimed_in AND c.sender_pid = $1 AND c.sender_start = $2)"

static Statement settle_many = {
	.sql = SETTLE_FROM("unnest($values)", "unnest($3, $4, $5, $6)", "= ANY ($3)"),
	.types = {INT4OID, TIMESTAMPTZOID},
	.named = settlement_columns,
	.named_count = Natts_settlement,
	.named_are_arrays = true,
	.result = settled_columns,
	.result_count = lengthof(settled_columns),
};

/* One with a large response, of which a plan of its own would have copies. */
static Statement settle_one = {
	.sql = SETTLE_FROM("(VALUES ($values))", "(VALUES ($3, $4, $5, $6))", "= $3"),
	.types = {INT4OID, TIMESTAMPTZOID},
	.named = settlement_columns,
	.named_count = Natts_settlement,
	.result = settled_columns,
	.result_count = lengthof(settled_columns),
	.options = CURSOR_OPT_GENERIC_PLAN,
};

/* The values of a settlement. */
typedef struct SettlementValues
{
	Datum values[Natts_settlement];
	bool nulls[Natts_settlement];
} SettlementValues;

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

/* The values of a settlement, texts in the current context. */
static void
fill_settlement(SettlementValues *to, const Claim *claim, const Settlement *settlement)
{
	set_settled_value(to, SETTLEMENT_id, Int64GetDatum(claim->id), false);
	set_settled_value(to, SETTLEMENT_turn, Int32GetDatum(claim->turn), false);
	set_settled_value(to, SETTLEMENT_enqueued_xid, Int64GetDatum((int64) claim->enqueued_xid), false);
	set_settled_value(to, SETTLEMENT_claimed_in, Int64GetDatum((int64) claim->claimed_in), false);
	set_settled_value(to, SETTLEMENT_lane, Int32GetDatum(claim->lane), false);
	set_settled_text(to, SETTLEMENT_cause, settlement->cause);
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
	set_settled_value(to, SETTLEMENT_response, settlement->response, settlement->response == (Datum) 0);
	set_settled_text(to, SETTLEMENT_sid, settlement->sid);
}

/* Requests that this transaction could not settle, for somebody has their rows locked. */
static int64 *held;
static int held_count;
static int held_room;

static void
note_held(int64 id)
{
	if (held_count == held_room)
	{
		held_room = Max(held_room * 2, 64);
		held = held == NULL ? MemoryContextAlloc(TopMemoryContext, sizeof(int64) * held_room)
							: repalloc(held, sizeof(int64) * held_room);
	}
	held[held_count++] = id;
}

/* True when a request was not settled in this transaction, for somebody has its row locked. */
bool
flex_outbox_is_held(int64 id)
{
	for (int i = 0; i < held_count; i++)
	{
		if (held[i] == id)
			return true;
	}
	return false;
}

/*
 * Write settlements of requests that this process has claimed, and tell of those
 * that have a last state.  values has the columns behind the sender's parameters.
 */
static void
write_settlements(Statement *statement, Datum *values, const char *nulls)
{
	uint64 count;
	bool tells;

	values[0] = Int32GetDatum(MyProcPid);
	values[1] = TimestampTzGetDatum(MyStartTimestamp);
	count = flex_statement_execute(statement, values, nulls);
	tells = count > 0 && may_notify();
	for (uint64 i = 0; i < count; i++)
	{
		Settled settled = {0};

		flex_statement_read(statement, i, &settled);
		if (settled.is_held)
			note_held(settled.id);
		else if (tells && settled.state != NULL)
			Async_Notify(CHANNEL, psprintf(INT64_FORMAT " %s", settled.id, settled.state));
	}
}

/* What has been collected, column by column. */
static MemoryContext collected_context;
static int collected;
static Datum collected_values[Natts_settlement][SETTLEMENTS_AT_ONCE];
static bool collected_nulls[Natts_settlement][SETTLEMENTS_AT_ONCE];

/* Keep a settlement until it is written with others. */
static void
collect(const Claim *claim, const Settlement *settlement)
{
	MemoryContext before = MemoryContextSwitchTo(collected_context);
	SettlementValues row;

	Assert(collected < SETTLEMENTS_AT_ONCE);
	fill_settlement(&row, claim, settlement);
	if (!row.nulls[SETTLEMENT_response])
		row.values[SETTLEMENT_response] = JsonbPGetDatum(DatumGetJsonbPCopy(settlement->response));
	MemoryContextSwitchTo(before);
	for (int i = 0; i < Natts_settlement; i++)
	{
		collected_values[i][collected] = row.values[i];
		collected_nulls[i][collected] = row.nulls[i];
	}
	collected++;
}

/* What this transaction has settled so that it waits for a time. */
static LaterKey later[LATER_KEPT];
static int later_count;

/* What the last transaction has settled so that it waits for a time; of very many only some. */
const LaterKey *
flex_outbox_later(int *count)
{
	*count = later_count;
	return later;
}

/* Note that a request waits for a time, which may be the one that it waited for before. */
static void
note_later(const Claim *claim, const Settlement *settlement)
{
	TimestampTz due_at = settlement->run_at != 0 ? settlement->run_at : DT_NOBEGIN;

	for (int i = 0; i < later_count; i++)
	{
		if (later[i].lane == claim->lane)
		{
			later[i].due_at = Min(later[i].due_at, due_at);
			return;
		}
	}
	if (later_count < LATER_KEPT)
		later[later_count++] = (LaterKey){claim->lane, due_at, claim->id, claim->turn};
}

/* Record what became of a claimed request; flex_outbox_flush() writes it, at the latest. */
void
flex_outbox_settle(const Claim *claim, const Settlement *settlement)
{
	Assert(settlement->state != NULL && collected_context != NULL);
	if (strcmp(settlement->state, "pending") == 0)
		note_later(claim, settlement);
	if (settlement->response != (Datum) 0 && VARSIZE_ANY(DatumGetPointer(settlement->response)) > LARGE_RESPONSE)
	{
		Datum values[SENDER_PARAMETERS + Natts_settlement];
		char nulls[SENDER_PARAMETERS + Natts_settlement] = {' ', ' '};
		SettlementValues row;

		fill_settlement(&row, claim, settlement);
		memcpy(&values[SENDER_PARAMETERS], row.values, sizeof(row.values));
		for (int i = 0; i < Natts_settlement; i++)
			nulls[SENDER_PARAMETERS + i] = row.nulls[i] ? 'n' : ' ';
		write_settlements(&settle_one, values, nulls);
		return;
	}
	collect(claim, settlement);
	if (collected == SETTLEMENTS_AT_ONCE)
		flex_outbox_flush();
}

/* Forget the settlements that have been collected. */
static void
forget_collected(void)
{
	MemoryContextReset(collected_context);
	collected = 0;
}

/* Write what has been collected. */
void
flex_outbox_flush(void)
{
	Datum values[SENDER_PARAMETERS + Natts_settlement];
	int lower_bound = 1;

	if (collected == 0)
		return;
	for (int i = 0; i < Natts_settlement; i++)
	{
		Oid type = settlement_columns[i].type;
		int16 length;
		bool by_value;
		char alignment;

		get_typlenbyvalalign(type, &length, &by_value, &alignment);
		values[SENDER_PARAMETERS + i] = PointerGetDatum(construct_md_array(
			collected_values[i], collected_nulls[i], 1, &collected, &lower_bound, type, length, by_value, alignment));
	}
	write_settlements(&settle_many, values, NULL);
	forget_collected();
}

/* At the beginning of a transaction: what one before has not committed is void. */
void
flex_outbox_discard(void)
{
	if (collected_context == NULL)
		collected_context = AllocSetContextCreate(TopMemoryContext, "flex_api settlements", ALLOCSET_DEFAULT_SIZES);
	forget_collected();
	later_count = 0;
	held_count = 0;
}
