/*
 * expiry.c
 *		Ends requests that have not been sent by their expires_at.
 *
 * What waits is claimed, whatever it waits for (an operator, its rate, another of its
 * ordering key), and settled as what has expired, with all that settling does.  What a sender
 * has is left to that one: its settlement does not make a request pending again whose time has
 * come (settlement.c).  It is looked at again all the same, for that sender may have looked
 * just before.
 *
 * A look goes over all whose time has come, a portion in a transaction.  What somebody has locked
 * is passed over, too, and is there at the next look.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/clock.h"
#include "delivery/claiming.h"
#include "delivery/expiry.h"
#include "outbox/expiring_rows.h"

#define AT_ONCE 1000  /* requests, in a portion */
#define LOOK_MS 500   /* between two looks for what others have enqueued or had locked, at least */
#define LOOK_SHARE 10 /* at the most one part in so many of the time is for looks */
#define FULL_SHARE                                                                                                     \
	100 /* the same, for looks that begin at the beginning, where an old snapshot may keep what is dead */

struct Expiry
{
	TimestampTz next_at; /* when the next one expires, for all we know; 0: none does */
	bool must_look;      /* there may be others, or some that were left */
	int64 look_ms;       /* flex_clock_ms() before which these are not looked for */
	int64 full_ms;       /* the same, for a look that begins at the beginning */
	TimestampTz from;    /* none is left before, but of transactions that have committed since */

	/* Of a look that has more portions to come: */
	bool has_more;
	bool is_full;
	int64 began_ms;
	ExpiringRow at;        /* where it is */
	TimestampTz left_from; /* the first that was passed over; DT_NOEND: none was */
};

/* Nothing is known; it lives in the current context. */
Expiry *
flex_expiry_create(void)
{
	Expiry *expiry = palloc0(sizeof(Expiry));

	expiry->must_look = true;
	return expiry;
}

/* Others may have enqueued what expires. */
void
flex_expiry_expect(Expiry *expiry)
{
	expiry->must_look = true;
}

/* Milliseconds until there is something to look for, if nothing is expected before. */
long
flex_expiry_wait_ms(const Expiry *expiry)
{
	int64 wait_ms = PG_INT32_MAX;

	if (expiry->has_more)
		return 0;
	if (expiry->must_look)
		wait_ms = Max(expiry->look_ms - flex_clock_ms(), 0);
	if (expiry->next_at != 0)
		wait_ms = Min(wait_ms, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), expiry->next_at));
	return (long) wait_ms;
}

static void
begin_look(Expiry *expiry)
{
	expiry->began_ms = flex_clock_ms();
	expiry->is_full = expiry->began_ms >= expiry->full_ms;
	expiry->at = (ExpiringRow){.expires_at = expiry->is_full ? DT_NOBEGIN : expiry->from, .id = PG_INT64_MIN};
	expiry->left_from = DT_NOEND;
	expiry->must_look = false;
}

/* All whose time had come have been looked at. */
static void
end_look(Expiry *expiry, TimestampTz now)
{
	int64 now_ms = flex_clock_ms();
	int64 took_ms = now_ms - expiry->began_ms;

	expiry->from = Min(expiry->left_from, now);
	expiry->must_look |= expiry->left_from != DT_NOEND;
	expiry->look_ms = now_ms + Max(took_ms * LOOK_SHARE, LOOK_MS);
	if (expiry->is_full)
		expiry->full_ms = now_ms + took_ms * FULL_SHARE;
}

/* The requests of rows that are still to be sent; returns how many. */
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
 * Claim some requests whose time has come, wherever they wait; the caller settles them in this
 * transaction.  In the current context.  The caller stands in a transaction with the outbox's rights.
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
			expiry->left_from = Min(expiry->left_from, rows[i].expires_at);
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
