/*
 * direct_claims.c
 *		Requests to claim, locked and read without an SQL statement.
 *
 * This does what the statement of claims.c does that locks requests, if the table is as the
 * extension has created it.
 *
 * The caller must have connected to SPI, and called flex_outbox_enter().
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "outbox/access.h"
#include "outbox/direct_claims.h"
#include "outbox/direct_lookup.h"
#include "outbox/request_table.h"
#include "outbox/roles.h"
#include "outbox/statements.h"

#define READ(name, type)                                                                                               \
	{                                                                                                                  \
		Anum_flex_outbox_##name, type, offsetof(Claim, name), sizeof(((Claim *) NULL)->name)                           \
	}
#define READ_MEMBER(name, type) READ(name, type),

/* The columns of a request that are members of a claim; read_claim() changes some.  A NULL leaves the member 0. */
static const struct
{
	ColumnNumber column;
	Oid type;
	size_t offset;
	size_t size;
} members[] = {READ(arguments, JSONBOID), READ(attempts, INT4OID), READ(turn, INT4OID), CLAIM_MEMBERS(READ_MEMBER)};

static Statement read_role = {
	.sql = "SELECT m.role FROM $t.flex_outbox_role_oids AS m WHERE m.id = $1",
	.types = {INT4OID},
};

/* Set the role of each claim that has none yet and the given number of a role. */
static void
set_role(Claim *claims, int count, int role_id)
{
	Datum values[] = {Int32GetDatum(role_id)};
	Oid role = InvalidOid;

	if (flex_statement_execute(&read_role, values, NULL) > 0)
		role = DatumGetObjectId(flex_statement_value(0, 1));
	for (int i = 0; i < count; i++)
	{
		if (claims[i].role_id == role_id)
			claims[i].role = role;
	}
}

/* Set the roles of claims.  One whose number no role of this cluster has gets InvalidOid. */
static void
set_roles(Claim *claims, int count)
{
	for (int i = 0; i < count; i++)
	{
		int before = 0;

		while (claims[before].role_id != claims[i].role_id)
			before++;
		if (before == i)
			set_role(claims, count, claims[i].role_id);
	}
}

/* Return true if a version of a request is pending. */
static bool
is_pending(TupleTableSlot *request, Datum id)
{
	bool is_null;
	Datum state = slot_getattr(request, Anum_flex_outbox_state, &is_null);

	return !is_null && flex_request_table_says_pending(state) &&
		   DatumGetInt64(slot_getattr(request, Anum_flex_outbox_id, &is_null)) == DatumGetInt64(id);
}

static bool
is_given(TupleTableSlot *request, ColumnNumber column)
{
	return !request->tts_isnull[column - 1];
}

/* Read a claim from the row of a request, without its role, into the current memory context. */
static void
read_claim(TupleTableSlot *request, Claim *claim, MemoryContext scratch)
{
	const Datum *values = request->tts_values;

	slot_getallattrs(request);
	for (size_t i = 0; i < lengthof(members); i++)
	{
		if (is_given(request, members[i].column))
			flex_statement_assign((char *) claim + members[i].offset, members[i].size, members[i].type,
								  values[members[i].column - 1]);
	}
	claim->attempts = Min(claim->attempts, PG_INT32_MAX - 1) + 1;
	claim->turn++;
	claim->on_success = is_given(request, Anum_flex_outbox_on_success);
	claim->on_failure = is_given(request, Anum_flex_outbox_on_failure);
	claim->foreign = DatumGetObjectId(values[Anum_flex_outbox_enqueued_in - 1]) != MyDatabaseId;
	claim->was_answered = is_given(request, Anum_flex_outbox_http_status);
	claim->was_unauthorized = claim->was_answered && DatumGetInt32(values[Anum_flex_outbox_http_status - 1]) == 401;
	claim->is_to_be_reduced = flex_settings.outbox_keep == OUTBOX_KEEP_IDENTIFIERS;
	if (claim->expires_at != 0 && claim->expires_at <= GetCurrentTimestamp() &&
		is_given(request, Anum_flex_outbox_error_message))
		claim->last_error = TextDatumGetCString(values[Anum_flex_outbox_error_message - 1]);
	if (claim->is_to_be_reduced && is_given(request, Anum_flex_outbox_context))
		claim->context = DatumGetJsonbPCopy(values[Anum_flex_outbox_context - 1]);
	flex_claim_reduce_context(claim, scratch);
}

/* Lock a request and read it, if it is pending and not locked by another session.  Otherwise return false. */
static bool
lock_and_read(DirectLookup *lookup, Datum id, Claim *claim, MemoryContext scratch)
{
	if (!flex_direct_lookup_find(lookup, id) || !is_pending(lookup->slot, id) ||
		flex_direct_lookup_lock(lookup) != ROW_IS_LOCKED)
		return false;
	/* It may have been changed since the snapshot was taken. */
	if (!is_pending(lookup->slot, id))
		return false;
	read_claim(lookup->slot, claim, scratch);
	return true;
}

/* Lock and read those requests that are pending and not locked by another session.  Return how many. */
static int
lock_rows(Relation table, const Datum *requests, int request_count, Claim *claims)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "flex_api claims", ALLOCSET_SMALL_SIZES);
	DirectLookup lookup;
	int count = 0;

	/* As for a statement: a snapshot that shows what this transaction has done so far. */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	flex_direct_lookup_begin(&lookup, table, GetActiveSnapshot());
	for (int i = 0; i < request_count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		/* The ids are ascending.  Two claims of the same request would be sent twice. */
		if (i > 0 && DatumGetInt64(requests[i]) <= DatumGetInt64(requests[i - 1]))
			continue;
		if (lock_and_read(&lookup, requests[i], &claims[count], scratch))
			count++;
	}
	flex_direct_lookup_end(&lookup);
	PopActiveSnapshot();
	MemoryContextDelete(scratch);
	return count;
}

/*
 * Lock those requests, given by ascending id, that are pending and not locked by another session, until the
 * transaction ends.  Return false, having done nothing, if that requires a statement.  *claims receives the
 * requests without their lanes, in the current memory context.
 */
bool
flex_direct_claims_lock(const Datum *requests, int request_count, Claim **claims, int *count)
{
	Relation table = table_open(flex_outbox_table(), NoLock);
	bool can_be_locked =
		flex_request_table_is_plain(table) && flex_direct_lookup_is_allowed(table, ACL_SELECT | ACL_UPDATE);

	if (can_be_locked)
	{
		*claims = palloc0(sizeof(Claim) * Max(request_count, 1));
		*count = lock_rows(table, requests, request_count, *claims);
		set_roles(*claims, *count);
	}
	table_close(table, NoLock);
	return can_be_locked;
}
