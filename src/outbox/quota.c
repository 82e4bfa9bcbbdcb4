/*
 * quota.c
 *		The limit of waiting requests per role: flex_api.outbox_quota.
 *
 * To avoid counting rows for each request, shared/pending_counts has an upper bound per role:
 * the last count plus what was enqueued since.  Only if that exceeds the quota are the rows
 * counted again, because some may have been sent.  The pause between two counts is a multiple
 * of the time that counting took, so that a role at its quota does not count all the time.
 *
 * Without shared memory, a session does not know what others enqueue.  As an upper bound it
 * uses the growth of the sequence of ids, to which all roles contribute.  It also counts again
 * periodically, because it does not learn of transactions that were in progress at a count
 * and have committed since.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/settings.h"
#include "outbox/access.h"
#include "outbox/quota.h"
#include "outbox/statements.h"
#include "shared/pending_counts.h"

#define COUNT_SHARE 20      /* at the quota, the pause between two counts is this many times their duration */
#define MOST_REST_MS 60000  /* ... but no longer than this: the duration may have been a wait for a lock */
#define LONE_SHARE 200      /* the same factor for the periodical counts without shared memory */
#define LONE_COUNT_MS 60000 /* ... whose pause is at least this long */

#define MARK_OF_LANE "LATERAL (SELECT k.xid, k.id, k.holes FROM marks AS k WHERE k.lane = l.id OFFSET 0) AS m"

/*
 * Count the waiting requests of a role ($1), up to $2, where they wait: new ones (turn 0) behind the
 * marks of the role's lanes and in the marks' holes, those that wait for a time in flex_outbox_later,
 * and those with an ordering key in flex_outbox_ordered only, whatever else has a row of them.  A new
 * one that waits for a time, because it was parked or its sender has died, may also still be behind its
 * mark, and is counted there.  A mark that is ahead of all transactions is ignored, as in
 * flex_outbox_summary.  ORDER BY and OFFSET 0 make the planner scan the index of requests once for each lane;
 * OFFSET 0 alone makes it look up single rows.
 */
static Statement count_pending = {
	.sql = "WITH marks AS NOT MATERIALIZED (SELECT k.lane, k.id, k.holes, CASE "
		   "WHEN k.xid >= pg_snapshot_xmax(pg_current_snapshot()) THEN '0' ELSE k.xid END AS xid "
		   "FROM $t.flex_outbox_marks AS k) "
		   "SELECT count(*), (SELECT last_value FROM $t.flex_outbox_id_seq) FROM ("
		   "SELECT FROM $t.flex_outbox_lanes AS l, " MARK_OF_LANE ", "
		   "LATERAL (SELECT FROM $t.flex_outbox_requests AS o WHERE o.lane = l.id AND o.state = 'pending' "
		   "AND o.turn = 0 AND o.ordering_key IS NULL AND (o.enqueued_xid, o.id) > (m.xid, m.id) "
		   "ORDER BY o.enqueued_xid, o.id OFFSET 0) AS w WHERE l.role_id = $1 "
		   "UNION ALL SELECT FROM $t.flex_outbox_lanes AS l, " MARK_OF_LANE ", "
		   "unnest(m.holes) AS h(xid), LATERAL (SELECT FROM $t.flex_outbox_requests AS o WHERE o.lane = l.id "
		   "AND o.enqueued_xid = h.xid AND o.state = 'pending' AND o.turn = 0 AND o.ordering_key IS NULL "
		   "ORDER BY o.id OFFSET 0) AS w WHERE l.role_id = $1 "
		   "UNION ALL SELECT FROM $t.flex_outbox_lanes AS l, "
		   "LATERAL (SELECT t.id, t.turn FROM $t.flex_outbox_later AS t WHERE t.lane = l.id OFFSET 0) AS w, "
		   "LATERAL (SELECT r.id, r.turn, r.lane, r.enqueued_xid FROM $t.flex_outbox_requests AS r WHERE r.id = w.id "
		   "AND r.turn = w.turn AND r.state = 'pending' AND r.ordering_key IS NULL OFFSET 0) AS o "
		   "WHERE l.role_id = $1 AND NOT EXISTS (SELECT FROM marks AS m WHERE o.turn = 0 AND m.lane = o.lane "
		   "AND ((o.enqueued_xid, o.id) > (m.xid, m.id) OR o.enqueued_xid = ANY (m.holes)) OFFSET 0) "
		   "UNION ALL SELECT FROM $t.flex_outbox_ordered AS w WHERE w.role_id = $1 LIMIT $2) AS p",
	.types = {INT4OID, INT8OID},
};

static PendingKey
key_of(int role_id)
{
	return (PendingKey){MyDatabaseId, flex_outbox_table(), role_id};
}

/* Count the waiting requests of a role, up to most + 1, and record the count. */
static PendingCount
count_again(const PendingKey *key, int64 most)
{
	Datum values[] = {Int32GetDatum(key->role_id), Int64GetDatum(most + 1)};
	PendingCount count = {.most = most};
	int64 began_ms = flex_clock_ms();
	OutboxAccess access;

	flex_pending_counts_begin(key, &count);
	/* Make visible what the current command has enqueued. */
	CommandCounterIncrement();
	SPI_connect();
	flex_outbox_enter(&access);
	if (flex_statement_execute_latest(&count_pending, values, NULL) > 0)
	{
		count.counted = DatumGetInt64(flex_statement_value(0, 1));
		count.first_id = count.last_id = DatumGetInt64(flex_statement_value(0, 2));
	}
	flex_outbox_leave(&access);
	SPI_finish();
	count.at_ms = flex_clock_ms();
	count.took_ms = count.at_ms - began_ms;
	flex_pending_counts_note(key, &count);
	return count;
}

/* Return the upper bound of the number of waiting requests. */
static int64
most_pending(const PendingCount *count, bool is_shared)
{
	return count->counted + (is_shared ? count->added : Max(count->added, count->last_id - count->first_id));
}

/* Return true if the rows have to be counted again before the given number of requests is admitted or refused. */
static bool
must_count(const PendingCount *count, bool is_shared, int64 requests)
{
	bool is_full = most_pending(count, is_shared) + requests > flex_settings.outbox_quota;
	int64 age_ms;

	if (count->most < flex_settings.outbox_quota)
		return true;
	if (is_shared && !is_full)
		return false;
	age_ms = flex_clock_ms() - count->at_ms;
	if (!is_shared && age_ms >= Max(LONE_COUNT_MS, count->took_ms * LONE_SHARE))
		return true;
	return is_full && age_ms >= Min(count->took_ms * COUNT_SHARE, MOST_REST_MS);
}

/*
 * Return true if a role may have the given number of requests more.  After requests were enqueued, and
 * noted by flex_quota_note(), this is called again with 0: then it also takes into account those that
 * other sessions enqueued meanwhile.  This connects to SPI and calls flex_outbox_enter() itself.
 */
bool
flex_quota_admits(int role_id, int64 requests)
{
	PendingKey key;
	PendingCount count;
	bool is_shared;

	/* Tables of the first version have no numbers of roles, and no quota. */
	if (flex_settings.outbox_quota < 0 || role_id == 0)
		return true;
	key = key_of(role_id);
	if (!flex_pending_counts_find(&key, &count, &is_shared) || must_count(&count, is_shared, requests))
		count = count_again(&key, flex_settings.outbox_quota);
	return most_pending(&count, is_shared) + requests <= flex_settings.outbox_quota;
}

/* Raise 53400 because the role may not enqueue the given number of requests more. */
void
flex_quota_refuse(int role_id, const char *role_name, int64 requests)
{
	PendingKey key = key_of(role_id);
	PendingCount count = {0};
	bool is_shared = false;

	(void) flex_pending_counts_find(&key, &count, &is_shared);
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("role \"%s\" has too many requests in the Flex API outbox", role_name),
			 /* No more than one above that are counted. */
			 count.counted > count.most
				 ? errdetail("More than " INT64_FORMAT " of its requests wait to be sent; flex_api.outbox_quota is %d.",
							 count.most, flex_settings.outbox_quota)
				 : errdetail("It would have " INT64_FORMAT " that wait to be sent; flex_api.outbox_quota is %d.",
							 most_pending(&count, is_shared) + requests, flex_settings.outbox_quota),
			 errhint("See in flex_outbox_status why they wait. A superuser can raise the quota for the role by "
					 "ALTER ROLE ... SET flex_api.outbox_quota.")));
}

/* Note that requests of a role were enqueued, or are pending again.  Ids of 0 do not count. */
void
flex_quota_note(int role_id, const int64 *ids, int count)
{
	int64 added = 0;
	int64 last_id = 0;
	PendingKey key;

	for (int i = 0; i < count; i++)
	{
		added += ids[i] != 0;
		last_id = Max(last_id, ids[i]);
	}
	if (added == 0 || role_id == 0)
		return;
	key = key_of(role_id);
	flex_pending_counts_add(&key, added, last_id);
}
