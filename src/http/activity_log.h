/*
 * activity_log.h
 *		A line in the server's log for each request: flex_api.log_activity.
 */
#ifndef FLEX_ACTIVITY_LOG_H
#define FLEX_ACTIVITY_LOG_H

#include "http/verdict.h"
#include "shared/statistics.h"

extern void flex_activity_log(const Outcome *outcome, Ending ending, int attempt);

#endif /* FLEX_ACTIVITY_LOG_H */
