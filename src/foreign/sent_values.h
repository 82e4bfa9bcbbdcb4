/*
 * sent_values.h
 *		The values of the conditions that a scan sends, and the requests built from them.
 */
#ifndef FLEX_SENT_VALUES_H
#define FLEX_SENT_VALUES_H

#include "nodes/execnodes.h"

#include "foreign/plan.h"
#include "request/request.h"

/* Allocated in the context that is current in flex_sent_values_prepare(). */
typedef struct SentValues SentValues;

extern SentValues *
flex_sent_values_prepare(const RemoteTable *table, ScanPlan plan, List *expressions, PlanState *node);
extern int flex_sent_values_count(const SentValues *values);
extern bool flex_sent_values_evaluate(const SentValues *values, ExprContext *context, NullableDatum *now);
extern bool flex_sent_values_keep(SentValues *values, const NullableDatum *now);
extern const Datum *flex_sent_values_of_column(const SentValues *values, AttrNumber column);
extern bool flex_sent_values_can_name(const SentValues *values);
extern char **flex_sent_values_keys(const SentValues *values, int *count);
extern HttpRequest *flex_sent_values_request(const SentValues *values, const char *key);

#endif /* FLEX_SENT_VALUES_H */
