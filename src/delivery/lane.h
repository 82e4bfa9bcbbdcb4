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
	int turn;               /* that the request has to be in */
	uint64 xid;             /* that enqueued it; 0: it waited for a time */
	TimestampTz due_at;     /* that time */
	TimestampTz held_since; /* since when it has waited for an operator; 0: it has not */
	bool is_of_hole;        /* read when the lane had been read further already */
	int put_off;            /* so often somebody had it locked */
	bool is_anyones;        /* it has been left to another sender for long enough */
} Candidate;

/* What is left to be read of a transaction that ended when a lane had been read further. */
typedef struct Hole
{
	uint64 xid;
	int64 read; /* the last id that was read */
} Hole;

typedef struct Lane
{
	MemoryContext context;
	int id;
	Identity identity; /* of its requests, but for those of a mixed one */
	const char *operation_name;
	const Operation *operation; /* NULL: there is none of that name, or it is mixed */
	bool is_mixed;              /* its requests are of several operations, servers, accounts and priorities */
	int priority;
	Share *role;
	Share *account;
	Share own;

	Position read;   /* so far all has been read, but for holes */
	Position *known; /* what has been read behind that place, ascending */
	int known_count;
	int known_room;
	Hole *holes;
	int holes_count;
	int holes_room;
	bool has_more; /* new requests than were read */

	TimestampTz later_from; /* nothing that waits for a time is due before this */
	TimestampTz later_due;  /* when the first of them is; DT_NOEND: none waits */

	Candidate *waiting; /* between first and end; the first is to be claimed next */
	int waiting_first;
	int waiting_end;
	int waiting_room;
	int waiting_later; /* how many of them waited for a time */
	int put_off;       /* how many others wait for somebody to let go of them */

	bool is_proved;    /* the last of its requests that was claimed could be sent: no operator has to mend anything */
	bool must_release; /* those that have waited for a mend can be sent now */
	int64 blocked_ms;  /* flex_clock_ms() before which none can be sent, for all we know */

	bool holds_some; /* requests that are held back wait for their time */
	int64 held_ms;   /* flex_clock_ms() before which none is sent after that, whatever is known of it */

	TimestampTz parked_until; /* of a mixed lane: when the last of those is due that wait for their rate */

	int passed; /* new requests read since the mark was written */
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
extern void flex_lane_read_later(Lane *lane, int want, const LaterRow *rows, int count);
extern Mark flex_lane_mark(const Lane *lane, const Horizon *horizon, const Candidate *put_off, int put_off_count);

#endif /* FLEX_LANE_H */
