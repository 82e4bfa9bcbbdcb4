/*
 * backlog.h
 *		The waiting requests of all lanes of the outbox, as far as a sender has read them.
 */
#ifndef FLEX_BACKLOG_H
#define FLEX_BACKLOG_H

#include "delivery/division.h"
#include "delivery/lane_list.h"

typedef struct Backlog Backlog;

extern Backlog *flex_backlog_create(void);
extern void flex_backlog_forget(Backlog *backlog);
extern void flex_backlog_expect_later(Backlog *backlog, bool at_once);
extern void flex_backlog_note_later(Backlog *backlog, int lane, TimestampTz due_at);
extern void flex_backlog_expect_freed(Backlog *backlog);
extern void flex_backlog_look(Backlog *backlog, int want, int64 most_ever, bool is_idle);
extern bool flex_backlog_leaves_some(const Backlog *backlog);
extern Lane *flex_backlog_lane(const Backlog *backlog, int id);
extern Lane *const *flex_backlog_lanes(const Backlog *backlog, int *count);
extern Mark flex_backlog_claims_from(const Backlog *backlog);
extern void flex_backlog_note_claims(Backlog *backlog, const LiveClaim *live, int count);
extern uint64 flex_backlog_take_turn(Backlog *backlog);
extern void flex_backlog_put_off(Backlog *backlog, Lane *lane, const Candidate *candidate);
extern bool flex_backlog_may_have_more(const Backlog *backlog);
extern TimestampTz flex_backlog_next_at(const Backlog *backlog);
extern bool flex_backlog_must_write_marks(const Backlog *backlog, int least_passed);
extern void flex_backlog_write_marks(Backlog *backlog, int least_passed);

#endif /* FLEX_BACKLOG_H */
