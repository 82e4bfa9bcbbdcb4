/*
 * rows.c
 *		The rows of flex_outbox: claim, settle, decide on.
 *
 * Turns values of C into parameters of the statements, and rows into values of
 * C.  The caller has connected to SPI, and stands between flex_outbox_enter()
 * and flex_outbox_leave().  Nothing here knows of the network.
 */
#include "postgres.h"

#include "access/htup_details.h"
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

#include "outbox/rows.h"
#include "outbox/statements.h"
#include "request/catalogue.h"

#define CHANNEL "flex_api"
#define MOST_QUEUE_USAGE 0.75 /* of the server's lanes of notifications */

/* A column of a row that came, and whether it is NULL. */
static Datum
column(uint64 row, int number, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, is_null);
}

/* A column that cannot be NULL. */
static Datum
value(uint64 row, int number)
{
	bool is_null;

	return column(row, number, &is_null);
}

/* A column of type text in the caller's memory, NULL for NULL. */
static char *
text_column(uint64 row, int number)
{
	bool is_null;
	Datum datum = column(row, number, &is_null);

	return is_null ? NULL : TextDatumGetCString(datum);
}

/* A text as a parameter; NULL sets its place in nulls. */
static Datum
text_parameter(const char *text, char *null)
{
	*null = text == NULL ? 'n' : ' ';
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

/* The id of the role's request that has a unique key, or 0. */
int64
flex_outbox_find_key(Oid role, const char *unique_key)
{
	Datum values[2] = {ObjectIdGetDatum(role), CStringGetTextDatum(unique_key)};

	return flex_statement_run(FIND_KEY, values, NULL) == 0 ? 0 : DatumGetInt64(value(0, 1));
}

/* All lanes that have requests, the most urgent first. */
Lane *
flex_outbox_lanes(int *count)
{
	Lane *lanes;

	*count = (int) flex_statement_run(LIST_LANES, NULL, NULL);
	lanes = palloc(sizeof(Lane) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		lanes[i].operation = text_column(i, 1);
		lanes[i].priority = DatumGetInt32(value(i, 2));
		lanes[i].due_at = DatumGetTimestampTz(value(i, 3));
		lanes[i].claim_from = DT_NOBEGIN;
	}
	return lanes;
}

/* The claims in the rows that came, in the current context. */
static Claim *
claims_of_rows(int count)
{
	Claim *claims = palloc0(sizeof(Claim) * Max(count, 1));

	for (int i = 0; i < count; i++)
	{
		bool is_null;
		Datum arguments = column(i, 3, &is_null);

		claims[i].id = DatumGetInt64(value(i, 1));
		claims[i].operation = text_column(i, 2);
		claims[i].arguments = is_null ? NULL : DatumGetJsonbPCopy(arguments);
		claims[i].attempts = DatumGetInt32(value(i, 4));
		claims[i].max_attempts = DatumGetInt32(value(i, 5));
		claims[i].role = DatumGetObjectId(value(i, 6));
		claims[i].account_sid = text_column(i, 7);
		claims[i].on_success = DatumGetBool(value(i, 8));
		claims[i].on_failure = DatumGetBool(value(i, 9));
		claims[i].foreign = DatumGetBool(value(i, 10));
		claims[i].may_be_done = DatumGetBool(value(i, 11));
		claims[i].run_at = DatumGetTimestampTz(value(i, 12));
		claims[i].started_at = DatumGetTimestampTz(value(i, 13));
	}
	return claims;
}

/*
 * Claim requests that are due, from run_at on, for this process to send.  They
 * may be sent once the transaction has been committed, to disk.
 */
Claim *
flex_outbox_claim(const Lane *lane, int limit, int *count)
{
	Datum values[8] = {
		CStringGetTextDatum(lane->operation),
		Int32GetDatum(lane->priority),
		Int32GetDatum(limit),
		Int32GetDatum(MyProcPid),
		TimestampTzGetDatum(MyStartTimestamp),
		ObjectIdGetDatum(MyDatabaseId),
		TimestampTzGetDatum(lane->claim_from),
		TimestampTzGetDatum(GetCurrentTimestamp()),
	};

	*count = (int) flex_statement_run(CLAIM, values, NULL);
	return claims_of_rows(*count);
}

/*
 * Settlements are collected, as columns, and written by one statement: half the
 * cost of one a request.  One with a large response is written by itself, without
 * a copy of that.
 */
#define SETTLEMENTS_AT_ONCE 256
#define LARGE_RESPONSE (16 * 1024)

static const struct
{
	Oid type;
	int length;
	bool by_value;
	char alignment;
} settlement_columns[] = {
	{INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE},
	{TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE},
	{TEXTOID, -1, false, TYPALIGN_INT},
	{BOOLOID, 1, true, TYPALIGN_CHAR},
	{TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE},
	{INT4OID, 4, true, TYPALIGN_INT},
	{BOOLOID, 1, true, TYPALIGN_CHAR},
	{INT4OID, 4, true, TYPALIGN_INT},
	{TEXTOID, -1, false, TYPALIGN_INT},
	{TEXTOID, -1, false, TYPALIGN_INT},
	{TEXTOID, -1, false, TYPALIGN_INT},
	{JSONBOID, -1, false, TYPALIGN_INT},
	{TEXTOID, -1, false, TYPALIGN_INT},
};

#define SETTLEMENT_COLUMNS lengthof(settlement_columns)
#define RESPONSE_COLUMN 11

static MemoryContext collected_context;
static int collected;
static Datum collected_values[SETTLEMENT_COLUMNS][SETTLEMENTS_AT_ONCE];
static bool collected_nulls[SETTLEMENT_COLUMNS][SETTLEMENTS_AT_ONCE];

/* Forget what has been collected: at the beginning of a transaction. */
void
flex_outbox_discard(void)
{
	if (collected_context == NULL)
		collected_context = AllocSetContextCreate(TopMemoryContext, "flex_api settlements", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(collected_context);
	collected = 0;
}

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

static void
notify(int64 id, const char *state)
{
	Async_Notify(CHANNEL, psprintf(INT64_FORMAT " %s", id, state));
}

/* Tell who listens that a request has reached its last state. */
void
flex_outbox_notify(int64 id, const char *state)
{
	if (may_notify())
		notify(id, state);
}

/* Tell of the settled requests that came back with a last state. */
static void
notify_settled(uint64 count)
{
	if (count == 0 || !may_notify())
		return;
	for (uint64 i = 0; i < count; i++)
	{
		const char *state = text_column(i, 2);

		if (state != NULL)
			notify(DatumGetInt64(value(i, 1)), state);
	}
}

static void flush_holds(void);

/* Write settlements, whose columns are the first values, of requests that this process has claimed. */
static void
write_settlements(StatementName statement, Datum *values, const char *nulls)
{
	values[SETTLEMENT_COLUMNS] = Int32GetDatum(MyProcPid);
	values[SETTLEMENT_COLUMNS + 1] = TimestampTzGetDatum(MyStartTimestamp);
	notify_settled(flex_statement_run(statement, values, nulls));
}

/* Write what has been collected. */
void
flex_outbox_flush(void)
{
	Datum values[SETTLEMENT_COLUMNS + 2];
	int lower_bound = 1;

	flush_holds();
	if (collected == 0)
		return;
	for (size_t i = 0; i < SETTLEMENT_COLUMNS; i++)
		values[i] = PointerGetDatum(construct_md_array(
			collected_values[i], collected_nulls[i], 1, &collected, &lower_bound, settlement_columns[i].type,
			settlement_columns[i].length, settlement_columns[i].by_value, settlement_columns[i].alignment));
	write_settlements(SETTLE, values, NULL);
	flex_outbox_discard();
}

/* The columns of a settlement; nulls has 'n' for a NULL's place. */
static void
columns_of(const Claim *claim, const Settlement *settlement, Datum *values, char *nulls)
{
	memset(nulls, ' ', SETTLEMENT_COLUMNS);
	values[0] = Int64GetDatum(claim->id);
	values[1] = TimestampTzGetDatum(claim->started_at);
	values[2] = CStringGetTextDatum(settlement->state);
	values[3] = BoolGetDatum(settlement->with_callback);
	values[4] = TimestampTzGetDatum(settlement->run_at);
	nulls[4] = settlement->run_at == 0 ? 'n' : ' ';
	values[5] = Int32GetDatum(settlement->uncounted ? 1 : 0);
	values[6] = BoolGetDatum(settlement->may_be_done);
	values[7] = Int32GetDatum(settlement->http_status);
	nulls[7] = settlement->http_status == 0 ? 'n' : ' ';
	values[8] = text_parameter(settlement->error_code, &nulls[8]);
	values[9] = text_parameter(settlement->error_message, &nulls[9]);
	values[10] = text_parameter(settlement->request_id, &nulls[10]);
	values[RESPONSE_COLUMN] = settlement->response;
	nulls[RESPONSE_COLUMN] = settlement->response == (Datum) 0 ? 'n' : ' ';
	values[12] = text_parameter(settlement->sid, &nulls[12]);
}

/* Keep a settlement until it is written with others. */
static void
collect(const Claim *claim, const Settlement *settlement)
{
	Datum values[SETTLEMENT_COLUMNS];
	char nulls[SETTLEMENT_COLUMNS];
	MemoryContext before = MemoryContextSwitchTo(collected_context);

	columns_of(claim, settlement, values, nulls);
	if (settlement->response != (Datum) 0)
		values[RESPONSE_COLUMN] = JsonbPGetDatum(DatumGetJsonbPCopy(settlement->response));
	MemoryContextSwitchTo(before);
	for (size_t i = 0; i < SETTLEMENT_COLUMNS; i++)
	{
		collected_values[i][collected] = values[i];
		collected_nulls[i][collected] = nulls[i] == 'n';
	}
	collected++;
}

/* Record what became of a claimed request; flex_outbox_flush() writes it, at the latest. */
void
flex_outbox_settle(const Claim *claim, const Settlement *settlement)
{
	Datum values[SETTLEMENT_COLUMNS + 2];
	char nulls[SETTLEMENT_COLUMNS + 2] = {[SETTLEMENT_COLUMNS] = ' ', ' '};

	if (settlement->response != (Datum) 0 && VARSIZE_ANY(DatumGetPointer(settlement->response)) > LARGE_RESPONSE)
	{
		columns_of(claim, settlement, values, nulls);
		write_settlements(SETTLE_ONE, values, nulls);
		return;
	}
	collect(claim, settlement);
	if (collected == SETTLEMENTS_AT_ONCE)
		flex_outbox_flush();
}

static uint64 holds; /* made by this process */

/* A number that changes whenever this process holds an operation back. */
uint64
flex_outbox_holds(void)
{
	return holds;
}

static TimestampTz collected_holds[MAX_OPERATIONS]; /* by the operation's index; 0: none */

/* Send nothing more to an operation until then; flex_outbox_flush() writes it. */
void
flex_outbox_hold(const Operation *operation, TimestampTz until)
{
	TimestampTz *hold = &collected_holds[flex_operation_index(operation)];

	*hold = Max(*hold, until);
	holds++;
}

/* Write the holds, by all processes in the same order: they would lock each other out. */
static void
flush_holds(void)
{
	const Operation *operation;

	for (int i = 0; (operation = flex_operation_at(i)) != NULL; i++)
	{
		Datum values[2] = {(Datum) 0, TimestampTzGetDatum(collected_holds[i])};

		if (collected_holds[i] == 0)
			continue;
		collected_holds[i] = 0;
		values[0] = CStringGetTextDatum(operation->name);
		flex_statement_run(HOLD, values, NULL);
	}
}

/* Processes that have claimed requests and not settled them. */
SenderProcess *
flex_outbox_senders(int *count)
{
	SenderProcess *senders;

	*count = (int) flex_statement_run(LIST_SENDERS, NULL, NULL);
	senders = palloc(sizeof(SenderProcess) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		senders[i].pid = DatumGetInt32(value(i, 1));
		senders[i].start = DatumGetTimestampTz(value(i, 2));
	}
	return senders;
}

/* Make requests that a sender which is gone had claimed this process's. */
Claim *
flex_outbox_take_over(const SenderProcess *sender, int limit, int *count)
{
	Datum values[6] = {
		Int32GetDatum(sender->pid),     TimestampTzGetDatum(sender->start), Int32GetDatum(limit),
		ObjectIdGetDatum(MyDatabaseId), Int32GetDatum(MyProcPid),           TimestampTzGetDatum(MyStartTimestamp),
	};

	*count = (int) flex_statement_run(TAKE_OVER, values, NULL);
	return claims_of_rows(*count);
}

/* Claim the next callback that is due, for this process to run; false when none is. */
bool
flex_outbox_claim_callback(Callback *callback)
{
	if (flex_statement_run(CLAIM_CALLBACK, NULL, NULL) == 0)
		return false;
	callback->id = DatumGetInt64(value(0, 1));
	callback->attempts = DatumGetInt32(value(0, 2));
	callback->again_at = DatumGetTimestampTz(value(0, 3));
	return true;
}

/*
 * Give the request of a callback that was claimed its last state, and learn how
 * to call.  False when somebody else has dealt with it in the meantime.
 */
bool
flex_outbox_settle_callback(Callback *callback)
{
	Datum values[3] = {Int64GetDatum(callback->id), Int32GetDatum(callback->attempts),
					   TimestampTzGetDatum(callback->again_at)};

	if (flex_statement_run(SETTLE_CALLBACK, values, NULL) == 0)
		return false;
	callback->role = DatumGetObjectId(value(0, 1));
	callback->function = text_column(0, 2);
	callback->state = text_column(0, 3);
	callback->row = value(0, 4);
	callback->row_type = SPI_gettypeid(SPI_tuptable->tupdesc, 4);
	return true;
}

/* Record that a callback failed, and when to try again: 0 for never. */
void
flex_outbox_fail_callback(const Callback *callback, const char *error, TimestampTz again_at)
{
	char nulls[4 + 1] = "    ";
	Datum values[4];

	values[0] = Int64GetDatum(callback->id);
	values[1] = text_parameter(error, &nulls[1]);
	values[2] = Int32GetDatum(callback->attempts);
	values[3] = TimestampTzGetDatum(again_at);
	nulls[3] = again_at == 0 ? 'n' : ' ';
	flex_statement_run(FAIL_CALLBACK, values, nulls);
}

/* When the next callback is due; 0 when there is none. */
TimestampTz
flex_outbox_next_callback(void)
{
	return flex_statement_run(NEXT_CALLBACK, NULL, NULL) == 0 ? 0 : DatumGetTimestampTz(value(0, 1));
}

/* Delete requests that finished so long ago; returns how many. */
int
flex_outbox_expire(int retention_minutes, int limit)
{
	Datum values[2] = {Int32GetDatum(retention_minutes), Int32GetDatum(limit)};

	return (int) flex_statement_run(EXPIRE, values, NULL);
}

/* Note that somebody looks for requests to send. */
bool
flex_outbox_note_drain(bool is_worker)
{
	return flex_statement_run(is_worker ? NOTE_WORKER : NOTE_DRAIN, NULL, NULL) > 0;
}

/* True when somebody has looked for requests within a day. */
bool
flex_outbox_was_drained(void)
{
	return flex_statement_run(WAS_DRAINED, NULL, NULL) > 0;
}

/*
 * Make a request pending again, or cancel it; role InvalidOid for anybody's.
 * Returns NULL, or a sentence that says why not, or "" when there is no such
 * request of the role's.  *to_send is set to the operation, in the current
 * context, when the request is to be sent again, else to NULL.
 */
const char *
flex_outbox_decide(int64 id, Oid role, const char *role_name, bool retry, char **to_send)
{
	bool is_anybodys = !OidIsValid(role);
	char nulls[4 + 1] = {' ', is_anybodys ? 'n' : ' ', is_anybodys ? 'n' : ' ', ' ', '\0'};
	NameData name = {0};
	Datum values[4] = {Int64GetDatum(id), ObjectIdGetDatum(role), NameGetDatum(&name), ObjectIdGetDatum(MyDatabaseId)};
	const char *state;
	char *operation;

	*to_send = NULL;
	namestrcpy(&name, role_name);
	if (flex_statement_run(LOCK_REQUEST, values, nulls) == 0)
		return "";
	state = text_column(0, 1);
	operation = text_column(0, 3);
	if (retry && DatumGetBool(value(0, 2)))
		return "It was enqueued in another database, of which this is a copy.";
	/* Of a request that has succeeded, only a callback that failed can be repeated. */
	if (retry && strcmp(state, "succeeded") == 0 && flex_statement_run(RETRY_CALLBACK, values, NULL) > 0)
		return NULL;
	if (strcmp(state, "sending") == 0 || strcmp(state, "succeeded") == 0 ||
		strcmp(state, retry ? "pending" : "cancelled") == 0)
		return psprintf("Its state is \"%s\".", state);
	flex_statement_run(retry ? RETRY : CANCEL, values, NULL);
	if (retry)
		*to_send = operation;
	return NULL;
}
