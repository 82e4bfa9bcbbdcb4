/*
 * forgetting.h
 *		Requests that finished long ago: found by id, deleted, or set aside.
 */
#ifndef FLEX_FORGETTING_H
#define FLEX_FORGETTING_H

#include "datatype/timestamp.h"

/* What becomes of a request that is looked at. */
typedef enum Keeping
{
	KEEP_NOT,   /* it is deleted */
	KEEP_LATER, /* it is set aside, and looked at again */
	KEEP_YOUNG  /* it is too young, as are those behind it */
} Keeping;

/* A request that is looked at. */
typedef struct OldRequest
{
	int64 id;
	int keeping; /* Keeping */
	TimestampTz again_at;
} OldRequest;

/* Where the forgetting is: all below has been deleted or set aside. */
typedef struct ForgettingMark
{
	int64 below;
	int64 safe_below; /* no transaction that is open has put in a request with an id below this */
	int64 next_id;
	bool any_left; /* of those set aside, one is due */
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
