/*
 * callback_rests.h
 *		The roles for which no process that runs callbacks is started for now.
 */
#ifndef FLEX_CALLBACK_RESTS_H
#define FLEX_CALLBACK_RESTS_H

#define CALLBACK_RESTS_FOR_GOOD PG_INT64_MAX

typedef struct CallbackRests CallbackRests;

extern CallbackRests *flex_callback_rests_create(void);
extern void flex_callback_rests_begin(CallbackRests *rests, Oid role, int64 for_ms);
extern int64 flex_callback_rests_await(CallbackRests *rests, Oid role);
extern void flex_callback_rests_await_none(CallbackRests *rests);
extern bool flex_callback_rests_any_is_awaited(const CallbackRests *rests);

#endif /* FLEX_CALLBACK_RESTS_H */
