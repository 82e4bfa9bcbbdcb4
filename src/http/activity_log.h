/*
 * activity_log.h
 *		Writes a line per request to the server's log: flex_api.log_activity.
 */
#ifndef FLEX_ACTIVITY_LOG_H
#define FLEX_ACTIVITY_LOG_H

#include "http/verdict.h"
#include "shared/statistics.h"

extern void flex_activity_log(const Outcome *outcome, Ending ending, int attempt);

#endif /* FLEX_ACTIVITY_LOG_H */
