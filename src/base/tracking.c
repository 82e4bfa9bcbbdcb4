/*
 * tracking.c
 *		Configuration parameters for monitoring.
 *
 * Only superusers can set them, so that no role can hide its requests from the operators, or
 * fill their log.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "base/settings.h"
#include "base/tracking.h"

static const struct config_enum_entry log_activity_values[] = {
	{"off", LOG_ACTIVITY_OFF, false},
	{"failures", LOG_ACTIVITY_FAILURES, false},
	{"all", LOG_ACTIVITY_ALL, false},
	{NULL, 0, false},
};

/* Define the parameters in this file. */
void
flex_tracking_define(void)
{
	DefineCustomBoolVariable("flex_api.track_operations", "Whether requests are counted in flex_stat_operations.", NULL,
							 &flex_settings.track_operations, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable(
		"flex_api.log_activity", "Which requests get a line in the server's log.",
		"failures: those that did not succeed. The line contains no argument's value and no secret.",
		&flex_settings.log_activity, LOG_ACTIVITY_OFF, log_activity_values, PGC_SUSET, 0, NULL, NULL, NULL);
}
