/*
 * expiry.c
 *		Ends requests that have not been sent by their expires_at.
 *
 * A request that waits, whatever for (an operator, its rate, another request of its ordering
 * key), is claimed and settled as failed.  A request that a sender has claimed is left to that
 * sender, whose settlement does not make an expired request pending again (settlement.c).  We
 * look at it once more later, because that sender may have read the clock just before.
 *
 * A look reads all rows of flex_outbox_expiring whose time has come, in portions, each in a
 * transaction.  Requests that a sender has claimed, or another session has locked, are left.  They
 * are looked at again when as much time has passed as they have been over, so that a request
 * that is under way for half a minute is not looked at each half second.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/clock.h"
#include "delivery/claiming.h"
#include "delivery/expiry.h"
#include "outbox/expiring_rows.h"

#define AT_ONCE 1000 /* requests in a portion */
#define LOOK_MS 500  /* least time between two looks for requests that others have enqueued or had locked */
#define LEFT_MS 5000 /* most time until requests that were left are looked at again */

/*
 * After a look, wait at least so many times as long as it took before the next one.  A full look
 * begins at the first row of the index, where an old snapshot may keep many dead rows.
 */
#define LOOK_SHARE 10
#define FULL_SHARE 100

struct Expiry
{
	TimestampTz next_at; /* when the next known request expires, or 0 */
	bool must_look;      /* there may be requests that we do not know */
	bool must_look_full; /* looks since the last full one have not read rows that were committed late */
	int64 look_ms;       /* flex_clock_ms() before which these are not looked for */
	int64 left_ms;       /* flex_clock_ms() at which those that were left at the last look are looked at; 0: none */
	int64 full_ms;       /* flex_clock_ms() before which no full look begins */
	TimestampTz from;    /* rows with an earlier time are of transactions that have committed since the last look */

	/* The present look: */
	bool has_more; /* it has more portions to come */
	bool is_full;
	int64 began_ms;
	ExpiringRow at;        /* the last row that was processed */
	TimestampTz left_from; /* time of the first row that was left, or DT_NOEND */
	TimestampTz left_to;   /* time of the last one */
};

/* Create the state of a sender's expiry in the current memory context. */
Expiry *
flex_expiry_create(void)
{
	Expiry *expiry = palloc0(sizeof(Expiry));

	expiry->must_look = true;
	return expiry;
}

/* Note that other sessions may have enqueued requests that expire. */
void
flex_expiry_expect(Expiry *expiry)
{
	expiry->must_look = true;
}

/* Return the milliseconds until the next look, if there is no flex_expiry_expect() before. */
long
flex_expiry_wait_ms(const Expiry *expiry)
{
	int64 wait_ms = PG_INT32_MAX;

	if (expiry->has_more)
		return 0;
	if (expiry->must_look)
		wait_ms = Max(expiry->look_ms - flex_clock_ms(), 0);
	else if (expiry->must_look_full)
		wait_ms = Max(Max(expiry->look_ms, expiry->full_ms) - flex_clock_ms(), 0);
	if (expiry->left_ms != 0)
		wait_ms = Min(wait_ms, Max(expiry->left_ms - flex_clock_ms(), 0));
	if (expiry->next_at != 0)
		wait_ms = Min(wait_ms, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), expiry->next_at));
	return (long) wait_ms;
}

/*
 * Begin a look, which is a full one if the last of these is long enough ago.  Otherwise a full one
 * has to follow, even if nobody wakes us: requests whose transaction has committed after their
 * time are found by no other.
 */
static void
begin_look(Expiry *expiry)
{
	expiry->began_ms = flex_clock_ms();
	expiry->is_full = expiry->began_ms >= expiry->full_ms;
	expiry->at = (ExpiringRow){.expires_at = expiry->is_full ? DT_NOBEGIN : expiry->from, .id = PG_INT64_MIN};
	expiry->left_from = DT_NOEND;
	expiry->left_ms = 0;
	expiry->must_look_full = !expiry->is_full && (expiry->must_look || expiry->must_look_full);
	expiry->must_look = false;
}

/* End a look, and decide when the next may begin. */
static void
end_look(Expiry *expiry, TimestampTz now)
{
	int64 now_ms = flex_clock_ms();
	int64 took_ms = now_ms - expiry->began_ms;
	int64 pause_ms = Max(took_ms * LOOK_SHARE, LOOK_MS);

	expiry->from = Min(expiry->left_from, now);
	expiry->look_ms = now_ms + pause_ms;
	if (expiry->left_from != DT_NOEND)
		expiry->left_ms = now_ms + Max(pause_ms, Min(TimestampDifferenceMilliseconds(expiry->left_to, now), LEFT_MS));
	if (expiry->is_full)
		expiry->full_ms = now_ms + took_ms * FULL_SHARE;
}

/* Note that a row is left.  Rows come in the order of their times. */
static void
leave(Expiry *expiry, const ExpiringRow *row)
{
	expiry->left_from = Min(expiry->left_from, row->expires_at);
	expiry->left_to = row->expires_at;
}

/* Collect the ids of those rows' requests that are still pending.  Return how many. */
static int
pending_ids(const ExpiringRow *rows, int count, int64 *ids)
{
	int pending = 0;

	for (int i = 0; i < count; i++)
	{
		if (rows[i].is_pending)
			ids[pending++] = rows[i].id;
	}
	return pending;
}

/*
 * Claim a portion of the expired requests.  Return the claims, allocated in the current memory
 * context, and set *count to their number; the caller must settle them in this transaction,
 * which must have the outbox's rights.
 */
Claim *
flex_expiry_claim(Expiry *expiry, const Backlog *backlog, int *count)
{
	TimestampTz now = GetCurrentTimestamp();
	ExpiringRow *rows;
	ExpiringRow *done;
	int64 *ids;
	int row_count;
	int left_count;
	int over_count = 0;
	int done_count = 0;
	Claim *claims;

	if (!expiry->has_more)
		begin_look(expiry);
	rows = flex_expiring_rows(&expiry->at, now, AT_ONCE, &row_count);
	done = palloc(sizeof(ExpiringRow) * Max(row_count, 1));
	ids = palloc(sizeof(int64) * Max(row_count, 1));
	claims = flex_claiming_claim_expired(backlog, ids, pending_ids(rows, row_count, ids), count, &left_count);
	expiry->next_at = 0;
	for (int i = 0; i < row_count; i++)
	{
		if (!rows[i].is_over)
		{
			expiry->next_at = rows[i].expires_at;
			continue;
		}
		expiry->at = rows[i];
		over_count++;
		if (rows[i].is_pending && flex_claiming_is_among(ids, left_count, rows[i].id))
			leave(expiry, &rows[i]);
		else
			done[done_count++] = rows[i];
	}
	expiry->has_more = over_count == AT_ONCE;
	if (!expiry->has_more)
		end_look(expiry, now);
	if (done_count > 0)
		flex_expiring_delete(done, done_count);
	return claims;
}
