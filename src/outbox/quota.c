/*
 * quota.c
 *		How many requests of a role may wait: flex_api.outbox_quota.
 *
 * The rows are not counted for each request.  What is known of a role is a count, and what has
 * been enqueued since (shared/pending_counts): as long as that is below the quota, nothing is
 * read.  Else they are counted anew, for some may have been sent; not again before some times
 * what that has taken, so that a role at its quota does not count all the time.
 *
 * Where sessions have no memory in common, one does not know what others enqueue.  But it sees
 * how far the ids have gone since it has counted, of all roles, which is more; and it counts again
 * after a while, as it learns of no transaction that had not committed then.
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

#define COUNT_SHARE 20      /* of a role at its quota, at the most one part in so many of the time is for counting */
#define MOST_REST_MS 60000  /* ... but it counts again after this: it may have taken so long for a lock */
#define LONE_SHARE 200      /* the same, of a session that counts again as time has passed */
#define LONE_COUNT_MS 60000 /* after which it does, at least */

/*
 * What is new stands behind the mark of its lane, in its first turn, or in a hole of it; what waits for a
 * time has a row of that turn; what has an ordering key is in flex_outbox_ordered, wherever else
 * it is.  A mark that is ahead of the transactions counts for nothing (see flex_outbox_summary).
 */
static Statement count_pending = {
	.sql = "SELECT count(*), (SELECT last_value FROM $t.flex_outbox_id_seq) FROM ("
		   "SELECT FROM $t.flex_outbox_lanes AS l JOIN (SELECT k.lane, k.id, CASE "
		   "WHEN k.xid >= pg_snapshot_xmax(pg_current_snapshot()) THEN '0' ELSE k.xid END AS xid "
		   "FROM $t.flex_outbox_marks AS k) AS m ON m.lane = l.id, "
		   "LATERAL (SELECT FROM $t.flex_outbox_requests AS o WHERE o.lane = l.id AND o.state = 'pending' "
		   "AND o.turn = 0 AND o.ordering_key IS NULL AND (o.enqueued_xid, o.id) > (m.xid, m.id) "
		   "ORDER BY o.enqueued_xid, o.id OFFSET 0) AS w WHERE l.role_id = $1 "
		   "UNION ALL SELECT FROM $t.flex_outbox_lanes AS l JOIN $t.flex_outbox_marks AS m ON m.lane = l.id, "
		   "unnest(m.holes) AS h(xid), LATERAL (SELECT FROM $t.flex_outbox_requests AS o WHERE o.lane = l.id "
		   "AND o.enqueued_xid = h.xid AND o.state = 'pending' AND o.turn = 0 AND o.ordering_key IS NULL "
		   "ORDER BY o.id OFFSET 0) AS w WHERE l.role_id = $1 "
		   "UNION ALL SELECT FROM $t.flex_outbox_lanes AS l JOIN $t.flex_outbox_later AS w ON w.lane = l.id "
		   "JOIN $t.flex_outbox_requests AS o ON o.id = w.id AND o.turn = w.turn AND o.state = 'pending' "
		   "AND o.ordering_key IS NULL WHERE l.role_id = $1 "
		   "UNION ALL SELECT FROM $t.flex_outbox_ordered AS w WHERE w.role_id = $1 LIMIT $2) AS p",
	.types = {INT4OID, INT8OID},
};

static PendingKey
key_of(int role_id)
{
	return (PendingKey){MyDatabaseId, flex_outbox_table(), role_id};
}

/* Count the requests of a role that wait, up to one more than may. */
static PendingCount
count_again(const PendingKey *key, int64 most)
{
	Datum values[] = {Int32GetDatum(key->role_id), Int64GetDatum(most + 1)};
	PendingCount count = {.most = most};
	int64 began_ms = flex_clock_ms();
	OutboxAccess access;

	flex_pending_counts_begin(key, &count);
	/* What the command that runs now has enqueued counts, too. */
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

/* How many requests wait at the most, of what is known of them. */
static int64
most_pending(const PendingCount *count, bool is_shared)
{
	return count->counted + (is_shared ? count->added : Max(count->added, count->last_id - count->first_id));
}

/* True when what was counted is not to be relied on any more, for so many requests more. */
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
 * True when a role may enqueue so many requests; 0 when it has enqueued them: then others' are known, too,
 * as far as they have ids by now.  Needs neither SPI nor the outbox's rights.
 */
bool
flex_quota_admits(int role_id, int64 requests)
{
	PendingKey key;
	PendingCount count;
	bool is_shared;

	/* Tables of the first version have no such numbers. */
	if (flex_settings.outbox_quota < 0 || role_id == 0)
		return true;
	key = key_of(role_id);
	if (!flex_pending_counts_find(&key, &count, &is_shared) || must_count(&count, is_shared, requests))
		count = count_again(&key, flex_settings.outbox_quota);
	return most_pending(&count, is_shared) + requests <= flex_settings.outbox_quota;
}

/* Raise 53400: the role may not enqueue so many requests. */
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

/* Requests of a role have been enqueued, or wait again; an id of 0 is none. */
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
