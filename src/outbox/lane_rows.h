/*
 * lane_rows.h
 *		The lanes of the outbox, and how far each has been read.
 */
#ifndef FLEX_LANE_ROWS_H
#define FLEX_LANE_ROWS_H

/* Instead of the number of a lane: its mark tells before which transaction no claim is live. */
#define LANE_OF_CLAIMS 0

/* Instead of an operation: the lane for all requests of a role that have none of their own. */
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
	uint64 xid; /* that enqueued the request; top-level, with its epoch */
	int64 id;
} Position;

/* How far a lane has been read. */
typedef struct Mark
{
	Position at;
	uint64 *holes; /* transactions before it whose requests have not been read */
	int holes_count;
} Mark;

/* A lane, as its row has it. */
typedef struct LaneRow
{
	int id;
	int role_id;
	Oid role;          /* InvalidOid: this cluster has none of that number */
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
