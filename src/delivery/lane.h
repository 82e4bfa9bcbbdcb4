/*
 * lane.h
 *		A lane of the outbox, as far as a sender has read it.
 */
#ifndef FLEX_LANE_H
#define FLEX_LANE_H

#include "delivery/horizon.h"
#include "delivery/shares.h"
#include "http/endpoint.h"
#include "outbox/lane_rows.h"
#include "outbox/waiting_rows.h"
#include "request/catalogue.h"

/* A request that may be claimed. */
typedef struct Candidate
{
	int64 id;
	int turn;               /* the turn in which the request must be */
	uint64 xid;             /* the transaction that enqueued it; 0 if it has a row in flex_outbox_later */
	TimestampTz due_at;     /* the time in that row */
	TimestampTz held_since; /* since when it has waited for an operator, or 0 */
	bool is_of_hole;        /* read after the lane's position had passed it */
	int put_off;            /* how often it was locked when it was to be claimed */
	bool is_anyones;        /* it has been left to another sender for long enough, and may be claimed by any */
} Candidate;

/* A transaction that ended after a lane's position had passed it: its requests are being read. */
typedef struct Hole
{
	uint64 xid;
	int64 read; /* the last id that was read */
} Hole;

typedef struct Lane
{
	MemoryContext context;
	int id;
	Identity identity; /* of its requests, unless it is mixed */
	const char *operation_name;
	const Operation *operation; /* NULL if no operation has that name, or the lane is mixed */
	bool is_mixed;              /* its requests are of several operations, servers, accounts and priorities */
	int priority;
	Share *role;
	Share *account;
	Share own;

	Position read;   /* all requests up to here have been read, except those of holes */
	Position *known; /* requests that have been read behind that position, ascending */
	int known_count;
	int known_room;
	Hole *holes;
	int holes_count;
	int holes_room;
	bool has_more; /* there may be more new requests than have been read */

	TimestampTz later_from; /* no row of flex_outbox_later is due before this, as far as known */
	TimestampTz later_due;  /* when the first of these rows is due; DT_NOEND if there is none */

	Candidate *waiting; /* requests to be claimed: elements waiting_first to waiting_end - 1 */
	int waiting_first;
	int waiting_end;
	int waiting_room;
	int waiting_later; /* how many of them have a row in flex_outbox_later */
	int put_off;       /* number of others that are put off because they were locked */

	bool is_proved;    /* the last request that was claimed could be sent, or credentials have been found */
	bool must_release; /* make requests due that wait for an operator: something may have been mended */
	int64 blocked_ms;  /* flex_clock_ms() before which no request can be sent, as far as known */

	bool holds_some; /* some of its requests wait because of a hold (holds.c) */
	int64 held_ms;   /* flex_clock_ms() before which none of the lane is sent then */

	TimestampTz parked_until; /* in a mixed lane: when the last request that waits for its rate is due */

	int passed; /* number of new requests read since the mark was written */
} Lane;

extern Lane *flex_lane_create(const LaneRow *row, MemoryContext context);
extern int flex_lane_waiting(const Lane *lane);
extern Candidate flex_lane_take(Lane *lane);
extern void flex_lane_add(Lane *lane, const Candidate *candidate);
extern void flex_lane_open_hole(Lane *lane, uint64 xid);
extern Stretch flex_lane_stretch(const Lane *lane, const Horizon *horizon, int want);
extern Stretch flex_lane_hole_stretch(const Lane *lane, int hole, int want);
extern void flex_lane_read(Lane *lane, const Horizon *horizon, int want, const FreshRow *rows, int count);
extern void flex_lane_read_hole(Lane *lane, int hole, int want, const FreshRow *rows, int count);
extern void flex_lane_close_holes(Lane *lane);
extern void flex_lane_read_later(Lane *lane, int want, TimestampTz now, const LaterRow *rows, int count);
extern Mark flex_lane_mark(const Lane *lane, const Horizon *horizon, const Candidate *put_off, int put_off_count);

#endif /* FLEX_LANE_H */
