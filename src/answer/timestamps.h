/*
 * timestamps.h
 *		Parses timestamps of the service.
 */
#ifndef FLEX_TIMESTAMPS_H
#define FLEX_TIMESTAMPS_H

#include "datatype/timestamp.h"

extern bool flex_timestamp_parse(const char *text, TimestampTz *result);

#endif /* FLEX_TIMESTAMPS_H */
