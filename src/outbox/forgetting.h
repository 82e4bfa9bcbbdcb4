/*
 * forgetting.h
 *		Deletion of requests that finished long ago.
 */
#ifndef FLEX_FORGETTING_H
#define FLEX_FORGETTING_H

#include "datatype/timestamp.h"

/* What is to be done with a request.  The SQL statements return these numbers. */
typedef enum Keeping
{
	KEEP_NOT = 0,   /* delete it */
	KEEP_LATER = 1, /* set it aside, and examine it again later */
	KEEP_YOUNG = 2  /* stop: it is too young, as are those with higher ids */
} Keeping;

/* A request that was examined. */
typedef struct OldRequest
{
	int64 id;
	int keeping;          /* Keeping */
	TimestampTz again_at; /* when to examine it again, if it is set aside */
} OldRequest;

/* How far the deletion has come. */
typedef struct ForgettingMark
{
	int64 below;      /* all requests with lower ids have been deleted or set aside */
	int64 safe_below; /* no transaction in progress can commit a request with a lower id */
	int64 next_id;    /* the next value of the sequence */
	bool any_left;    /* a request that was set aside is due to be examined again */
} ForgettingMark;

extern bool flex_forgetting_look(ForgettingMark *mark, int retention);
extern bool flex_forgetting_lock(const ForgettingMark *mark);
extern OldRequest *flex_forgetting_next(const ForgettingMark *mark, int retention, int limit, int *count);
extern OldRequest *flex_forgetting_left(int retention, int limit, int *count);
extern int flex_forgetting_recheck(int retention, int64 *ids, int count);
extern char *flex_forgetting_find_acting_key(void);
extern int flex_forgetting_pick(int64 *ids, int count);
extern int flex_forgetting_delete(const int64 *ids, int count);
extern void flex_forgetting_delete_traces(const int64 *ids, int count);
extern int flex_forgetting_find(int64 *ids, int count);
extern void flex_forgetting_set_aside(const int64 *ids, const TimestampTz *again_at, int count);
extern void flex_forgetting_put_off(const int64 *ids, int count);
extern void flex_forgetting_advance(const ForgettingMark *mark);

#endif /* FLEX_FORGETTING_H */
