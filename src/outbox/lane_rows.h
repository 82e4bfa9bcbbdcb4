/*
 * lane_rows.h
 *		The lanes of the outbox, and how far each has been read.
 */
#ifndef FLEX_LANE_ROWS_H
#define FLEX_LANE_ROWS_H

/* Not the number of a lane.  The mark with this number is the transaction before which no claim is live. */
#define LANE_OF_CLAIMS 0

/* Instead of an operation: the mixed lane, for all requests of a role that have no lane of their own. */
#define MIXED_LANE ""

/* What the requests of a lane have in common. */
typedef struct LaneKey
{
	int role_id;
	const char *account_sid; /* or NULL */
	const char *server;      /* "": none; NULL: the sender's */
	const char *operation;
	int priority;
} LaneKey;

/* A place among the requests of a lane, which are ordered by transaction and id. */
typedef struct Position
{
	uint64 xid; /* the top-level transaction that enqueued the request, as a full number */
	int64 id;
} Position;

/* How far a lane has been read. */
typedef struct Mark
{
	Position at;
	uint64 *holes; /* transactions before "at" whose requests have not been read, because they were in progress */
	int holes_count;
} Mark;

/* A row of flex_outbox_lanes, with the lane's mark. */
typedef struct LaneRow
{
	int id;
	int role_id;
	Oid role;          /* InvalidOid: no role of this cluster has that number */
	char *account_sid; /* or NULL */
	char *server;      /* "": none; NULL: the sender's */
	char *operation;
	int priority;
	Mark mark;
} LaneRow;

extern int flex_lane_of_request(const LaneKey *key);
extern LaneRow *flex_lane_rows(int behind, int *count);
extern Mark flex_claims_read_mark(void);
extern void flex_lane_write_mark(int lane, const Mark *mark);

#endif /* FLEX_LANE_ROWS_H */
