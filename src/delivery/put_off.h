/*
 * put_off.h
 *		New requests that a sender has read and does not claim at once.
 */
#ifndef FLEX_PUT_OFF_H
#define FLEX_PUT_OFF_H

#include "delivery/division.h"
#include "delivery/lane.h"

/* A request that is tried again after a while. */
typedef struct PutOffRequest
{
	Lane *lane;
	Candidate candidate;
	bool is_others; /* left to another sender; false if it was locked */
	int64 again_ms; /* flex_clock_ms() at which it is tried again */
} PutOffRequest;

typedef struct PutOff
{
	MemoryContext context;
	PutOffRequest *requests;
	int count;
	int room;
	int others_count; /* number of those with is_others */
} PutOff;

extern void flex_put_off_add(PutOff *put_off, Lane *lane, const Candidate *candidate);
extern void flex_put_off_leave_to_others(PutOff *put_off, const Division *division, Lane *lane);
extern void flex_put_off_divide_anew(PutOff *put_off, Division *division, Lane *const *lanes, int count);
extern void flex_put_off_try_again(PutOff *put_off, const Division *division, bool others_too);
extern bool flex_put_off_has_room(const Lane *lane);
extern int64 flex_put_off_wait_ms(const PutOff *put_off);
extern Candidate *flex_put_off_of_lane(const PutOff *put_off, const Lane *lane, int *count);

#endif /* FLEX_PUT_OFF_H */
