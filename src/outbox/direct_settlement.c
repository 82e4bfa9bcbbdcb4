/*
 * direct_settlement.c
 *		Settlements of requests that have ended, written without an SQL statement.
 *
 * For a few requests at once, executor startup and shutdown for the statement of settled_rows.c
 * cost more than the updates.  Here the rows are found by the primary key, locked, and updated by
 * executor functions, as in the apply worker of logical replication.  The conditions, the values
 * and the locks are those of the statement.
 *
 * That is possible if the tables are as the extension has created them.  Otherwise the caller
 * executes the statement, so that triggers, rules, policies and constraints take effect.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "outbox/access.h"
#include "outbox/counts.h"
#include "outbox/direct_lookup.h"
#include "outbox/direct_settlement.h"
#include "outbox/direct_table.h"
#include "outbox/request_table.h"

#define CLAIMS_KNOWN 8 /* claims whose owner is remembered while settlements are written */

/* The columns of flex_outbox_claims that are read here; they are its first ones. */
enum
{
	Anum_claims_id = 1,
	Anum_claims_sender_pid,
	Anum_claims_sender_start
};

static const struct
{
	const char *name;
	Oid type;
} claims_columns[] = {
	{"id", XID8OID},
	{"sender_pid", INT4OID},
	{"sender_start", TIMESTAMPTZOID},
};

/* Columns of a request that a settlement sets to its own value. */
static const struct
{
	ColumnNumber column;
	SettlementColumn value;
} copied[] = {
	{Anum_flex_outbox_state, SETTLEMENT_state},
	{Anum_flex_outbox_turn, SETTLEMENT_turn},
	{Anum_flex_outbox_started_at, SETTLEMENT_started_at},
	{Anum_flex_outbox_may_be_done, SETTLEMENT_may_be_done},
	{Anum_flex_outbox_http_status, SETTLEMENT_http_status},
	{Anum_flex_outbox_error_code, SETTLEMENT_error_code},
	{Anum_flex_outbox_error_message, SETTLEMENT_error_message},
	{Anum_flex_outbox_request_id, SETTLEMENT_request_id},
	{Anum_flex_outbox_response, SETTLEMENT_response},
	{Anum_flex_outbox_sid, SETTLEMENT_sid},
};

static DirectTable requests_kept;

/* A claim, and whether it is this process's. */
typedef struct KnownClaim
{
	uint64 id;
	bool is_ours;
} KnownClaim;

/* Settlements that are being written. */
typedef struct Work
{
	DirectLookup requests;
	DirectLookup claims;
	TupleTableSlot *row; /* the new version of a request */
	KnownClaim known[CLAIMS_KNOWN];
	int known_count;
	FinishedRequest *finished;
	int finished_count;
} Work;

/*
 * Return true if a trigger is the extension's own one, which counts changes other than settlements: it
 * does not fire when the turn changes.
 */
static bool
ignores_settlements(const Trigger *trigger, Relation table)
{
	static const char name[] = "flex_outbox_count_changed";
	const char *function = get_func_name(trigger->tgfoid);

	return strcmp(trigger->tgname, name) == 0 && trigger->tgqual != NULL && TRIGGER_FOR_AFTER(trigger->tgtype) &&
		   TRIGGER_FOR_ROW(trigger->tgtype) && function != NULL && strcmp(function, name) == 0 &&
		   get_func_namespace(trigger->tgfoid) == RelationGetNamespace(table);
}

/* Return true if an UPDATE may fire a trigger, of whatever columns. */
static bool
may_fire_trigger(Relation table)
{
	const TriggerDesc *triggers = table->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_UPDATE(trigger->tgtype) && flex_request_table_fires(trigger) &&
			!ignores_settlements(trigger, table))
			return true;
	}
	return false;
}

/* Return true if settlements can be written into the table of requests without a statement. */
static bool
is_plain(Relation table)
{
	return flex_request_table_is_plain(table) && !may_fire_trigger(table);
}

/* Return true if the table of claims has the columns that are read here. */
static bool
has_claims_columns(TupleDesc desc)
{
	for (int i = 0; i < (int) lengthof(claims_columns); i++)
	{
		Form_pg_attribute attribute = i < desc->natts ? TupleDescAttr(desc, i) : NULL;

		if (attribute == NULL || attribute->atttypid != claims_columns[i].type ||
			strcmp(NameStr(attribute->attname), claims_columns[i].name) != 0)
			return false;
	}
	return true;
}

/* Read the owner of a claim: is it this process? */
static bool
read_is_ours(Work *work, Datum id)
{
	TupleTableSlot *claim = work->claims.slot;
	bool is_null;

	if (!flex_direct_lookup_find(&work->claims, id))
		return false;
	return DatumGetInt32(slot_getattr(claim, Anum_claims_sender_pid, &is_null)) == MyProcPid &&
		   DatumGetTimestampTz(slot_getattr(claim, Anum_claims_sender_start, &is_null)) == MyStartTimestamp;
}

/*
 * Return true if a claim is this process's.  This excludes another request with the same id, in an outbox
 * that was emptied or created anew, and requests that another sender has taken over.
 */
static bool
is_ours(Work *work, Datum id)
{
	KnownClaim *known;

	for (int i = 0; i < Min(work->known_count, CLAIMS_KNOWN); i++)
	{
		if (work->known[i].id == (uint64) DatumGetInt64(id))
			return work->known[i].is_ours;
	}
	known = &work->known[work->known_count++ % CLAIMS_KNOWN];
	*known = (KnownClaim){(uint64) DatumGetInt64(id), read_is_ours(work, id)};
	return known->is_ours;
}

/* Return true if a version of a request waits for this settlement: it is pending, and in the turn before. */
static bool
waits_for(TupleTableSlot *request, const SettlementValues *settlement)
{
	enum
	{
		ID,
		STATE,
		XID,
		TURN,
		COUNT
	};
	static const ColumnNumber columns[COUNT] = {Anum_flex_outbox_id, Anum_flex_outbox_state,
												Anum_flex_outbox_enqueued_xid, Anum_flex_outbox_turn};
	Datum values[COUNT];

	for (int i = 0; i < COUNT; i++)
	{
		bool is_null;

		values[i] = slot_getattr(request, columns[i], &is_null);
		if (is_null)
			return false;
	}
	return flex_request_table_says_pending(values[STATE]) &&
		   DatumGetInt64(values[ID]) == DatumGetInt64(settlement->values[SETTLEMENT_id]) &&
		   DatumGetInt64(values[XID]) == DatumGetInt64(settlement->values[SETTLEMENT_enqueued_xid]) &&
		   DatumGetInt32(values[TURN]) == DatumGetInt32(settlement->values[SETTLEMENT_turn]) - 1;
}

static void
set_column(TupleTableSlot *row, ColumnNumber column, Datum value, bool is_null)
{
	row->tts_values[column - 1] = value;
	row->tts_isnull[column - 1] = is_null;
}

static void
set_from(TupleTableSlot *row, ColumnNumber column, const SettlementValues *settlement, SettlementColumn value)
{
	set_column(row, column, settlement->values[value], settlement->nulls[value]);
}

/* Fill in the new version of a request that has ended.  Its values are those of the old one and of the settlement. */
static void
fill_row(TupleTableSlot *row, TupleTableSlot *request, const SettlementValues *settlement)
{
	Datum now = TimestampTzGetDatum(GetCurrentTimestamp());
	bool is_reduced = !settlement->nulls[SETTLEMENT_arguments];
	int32 attempts;

	slot_getallattrs(request);
	ExecClearTuple(row);
	memcpy(row->tts_values, request->tts_values, sizeof(Datum) * Natts_flex_outbox);
	memcpy(row->tts_isnull, request->tts_isnull, sizeof(bool) * Natts_flex_outbox);
	for (size_t i = 0; i < lengthof(copied); i++)
		set_from(row, copied[i].column, settlement, copied[i].value);
	attempts = Min(DatumGetInt32(row->tts_values[Anum_flex_outbox_attempts - 1]), PG_INT32_MAX - 1) + 1;
	attempts -= DatumGetInt32(settlement->values[SETTLEMENT_uncounted]);
	set_column(row, Anum_flex_outbox_attempts, Int32GetDatum(attempts), false);
	set_column(row, Anum_flex_outbox_finished_at, now, false);
	if (!settlement->nulls[SETTLEMENT_run_at])
		set_from(row, Anum_flex_outbox_run_at, settlement, SETTLEMENT_run_at);
	set_column(row, Anum_flex_outbox_reduced_at, now, !is_reduced);
	if (is_reduced)
	{
		set_from(row, Anum_flex_outbox_arguments, settlement, SETTLEMENT_arguments);
		set_from(row, Anum_flex_outbox_context, settlement, SETTLEMENT_context);
	}
	ExecStoreVirtualTuple(row);
}

static char *
text_of(TupleTableSlot *row, ColumnNumber column)
{
	return row->tts_isnull[column - 1] ? NULL : TextDatumGetCString(row->tts_values[column - 1]);
}

/* Note what became of a request whose new version has been written. */
static void
note_settled(Work *work, Settled *settled)
{
	TupleTableSlot *row = work->row;
	const char *operation = text_of(row, Anum_flex_outbox_operation);

	if (operation == NULL)
		elog(ERROR, "request " INT64_FORMAT " of the outbox has no operation", settled->id);
	settled->state = text_of(row, Anum_flex_outbox_state);
	settled->role_id = DatumGetInt32(row->tts_values[Anum_flex_outbox_role_id - 1]);
	settled->ordering_key = text_of(row, Anum_flex_outbox_ordering_key);
	work->finished[work->finished_count++] =
		(FinishedRequest){settled->role_id, operation, settled->state,
						  row->tts_isnull[Anum_flex_outbox_error_message - 1] ? 0 : settled->id};
}

/* Settle a request, if it waits for that.  Return false if it does not.  *settled receives what became of it. */
static bool
settle(Work *work, const SettlementValues *settlement, Settled *settled)
{
	TupleTableSlot *request = work->requests.slot;

	*settled = (Settled){.id = DatumGetInt64(settlement->values[SETTLEMENT_id])};
	if (!is_ours(work, settlement->values[SETTLEMENT_claimed_in]) ||
		!flex_direct_lookup_find(&work->requests, settlement->values[SETTLEMENT_id]) || !waits_for(request, settlement))
		return false;
	switch (flex_direct_lookup_lock(&work->requests))
	{
		case ROW_IS_BUSY:
			settled->is_locked = true;
			return true;
		case ROW_IS_GONE:
			return false;
		case ROW_IS_LOCKED:
			break;
	}
	/* It may have been changed since the snapshot was taken. */
	if (!waits_for(request, settlement))
		return false;
	fill_row(work->row, request, settlement);
	ExecSimpleRelationUpdate(requests_kept.info, requests_kept.state, NULL, request, work->row);
	note_settled(work, settled);
	ExecClearTuple(work->row);
	ResetPerTupleExprContext(requests_kept.state);
	return true;
}

/* Return the slot for new versions, which is kept with the table. */
static TupleTableSlot *
row_of_kept(void)
{
	MemoryContext before = MemoryContextSwitchTo(requests_kept.context);

	if (requests_kept.own == NULL)
		requests_kept.own = MakeSingleTupleTableSlot(requests_kept.desc, &TTSOpsVirtual);
	MemoryContextSwitchTo(before);
	return requests_kept.own;
}

/* Write settlements.  Both tables are open.  Return how many requests have finished, of which "finished" has room for all. */
static int
write_rows(Relation requests, Relation claims, const SettlementValues *rows, int count, Settled *settled,
		   uint64 *settled_count, FinishedRequest *finished)
{
	Work work = {.row = row_of_kept(), .finished = finished};

	/* As for a statement: a snapshot that shows what this transaction has done so far. */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	requests_kept.state->es_snapshot = GetActiveSnapshot();
	flex_direct_lookup_begin(&work.requests, requests, GetActiveSnapshot());
	flex_direct_lookup_begin(&work.claims, claims, GetActiveSnapshot());
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (settle(&work, &rows[i], &settled[*settled_count]))
			(*settled_count)++;
	}
	flex_direct_lookup_end(&work.claims);
	flex_direct_lookup_end(&work.requests);
	requests_kept.state->es_snapshot = InvalidSnapshot;
	PopActiveSnapshot();
	CommandCounterIncrement();
	return work.finished_count;
}

/*
 * Write settlements of requests that have ended and have no callbacks to run.  Return false, having done
 * nothing, if that requires a statement.  *settled receives what became of the requests, in the current memory
 * context.
 */
bool
flex_direct_settlement_write(const SettlementValues *rows, int count, Settled **settled, uint64 *settled_count)
{
	Oid claims_oid = get_relname_relid("flex_outbox_claims", flex_outbox_schema(false));
	Relation requests;
	Relation claims;
	bool can_be_written;

	if (!OidIsValid(claims_oid))
		return false;
	requests = table_open(flex_outbox_table(), NoLock);
	claims = table_open(claims_oid, NoLock);
	can_be_written = flex_direct_lookup_is_allowed(requests, ACL_SELECT | ACL_UPDATE) &&
					 flex_direct_lookup_is_allowed(claims, ACL_SELECT) &&
					 has_claims_columns(RelationGetDescr(claims)) &&
					 flex_direct_table_open(&requests_kept, requests, false, is_plain);
	if (can_be_written)
	{
		FinishedRequest *finished = palloc(sizeof(FinishedRequest) * count);
		int finished_count;

		*settled = palloc(sizeof(Settled) * count);
		*settled_count = 0;
		finished_count = write_rows(requests, claims, rows, count, *settled, settled_count, finished);
		flex_direct_table_close(&requests_kept);
		/* Only now, because a statement may fire triggers of a user. */
		flex_counts_add(finished, finished_count);
	}
	table_close(claims, NoLock);
	table_close(requests, NoLock);
	return can_be_written;
}
