/*
 * callback_schedule.h
 *		Decides which roles' callbacks run, and in which process.
 */
#ifndef FLEX_CALLBACK_SCHEDULE_H
#define FLEX_CALLBACK_SCHEDULE_H

#include "datatype/timestamp.h"

#include "delivery/transaction.h"

typedef struct CallbackSchedule CallbackSchedule;

extern CallbackSchedule *flex_callback_schedule_create(Transaction *transaction, bool is_worker);
extern void flex_callback_schedule_expect(CallbackSchedule *schedule);
extern bool flex_callback_schedule_may_be_due(const CallbackSchedule *schedule);
extern TimestampTz flex_callback_schedule_next_at(const CallbackSchedule *schedule);
extern bool flex_callback_schedule_has_news(const CallbackSchedule *schedule);
extern bool flex_callback_schedule_attend(CallbackSchedule *schedule);
extern bool flex_callback_schedule_is_busy(const CallbackSchedule *schedule);
extern bool flex_callback_schedule_run(CallbackSchedule *schedule);
extern void flex_callback_schedule_finish(CallbackSchedule *schedule);
extern bool flex_callback_schedule_dismiss(CallbackSchedule *schedule);
extern void flex_callback_schedule_stop(CallbackSchedule *schedule);

#endif /* FLEX_CALLBACK_SCHEDULE_H */
