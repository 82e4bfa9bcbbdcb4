/*
 * lanes.h
 *		Decides which of the outbox's requests are sent next, and when.
 */
#ifndef FLEX_LANES_H
#define FLEX_LANES_H

#include "delivery/backlog.h"
#include "outbox/claims.h"

typedef struct Lanes Lanes;

extern Lanes *flex_lanes_create(int64 max_requests, bool is_told);
extern Claim *flex_lanes_claim(Lanes *lanes, int under_way, int *count);
extern bool flex_lanes_may_have_some(const Lanes *lanes, int under_way);
extern bool flex_lanes_may_claim(const Lanes *lanes, int under_way);
extern bool flex_lanes_is_full(int under_way);
extern bool flex_lanes_waits_for_rate(const Lanes *lanes);
extern TimestampTz flex_lanes_next_at(const Lanes *lanes);
extern void flex_lanes_look_now(Lanes *lanes, bool at_once);
extern void flex_lanes_put_off(Lanes *lanes, int64 ms);
extern void flex_lanes_forget(Lanes *lanes);
extern void flex_lanes_note_settled(Lanes *lanes);
extern void flex_lanes_give_back(Lanes *lanes, const Claim *claim);
extern void flex_lanes_note_block(Lanes *lanes, int lane, bool is_blocked);
extern void flex_lanes_unblock(Lanes *lanes);
extern const Backlog *flex_lanes_backlog(const Lanes *lanes);
extern Mark flex_lanes_claims_from(const Lanes *lanes);
extern bool flex_lanes_must_rest(const Lanes *lanes);
extern void flex_lanes_rest(Lanes *lanes);

#endif /* FLEX_LANES_H */
